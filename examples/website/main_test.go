package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestHandler(t *testing.T) {
	srv := httptest.NewServer(handler(time.Now(), "A <new> title"))
	defer srv.Close()
	tests := []struct {
		method, path string
		code         int
		ctype, text  string
	}{
		{"GET", "/", 200, "text/html", "<h1>A &lt;new&gt; title</h1>"},
		{"HEAD", "/", 200, "text/html", ""},
		{"GET", "/style.css", 200, "text/css", "color-scheme"},
		{"GET", "/status.js", 200, "text/javascript", "api/status"},
		{"GET", "/api/status", 200, "application/json", `"go":"` + runtime.Version()},
		{"POST", "/api/status", 405, "text/plain", "Method Not Allowed"},
		{"GET", "/nothing", 404, "text/plain", "404"},
		{"GET", "/../main.go", 404, "text/plain", "404"},
	}
	for _, tt := range tests {
		req, err := http.NewRequest(tt.method, srv.URL+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.code || !strings.HasPrefix(resp.Header.Get("Content-Type"), tt.ctype) || !strings.Contains(string(body), tt.text) {
			t.Errorf("%s %s = %d %s %.200q\nwant %d %s %q", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), body, tt.code, tt.ctype, tt.text)
		}
	}
}

// start builds the program and runs it as a process. It returns its base URL
// and a function that reads what it logs from then on.
func start(t *testing.T, env []string, args ...string) (cmd *exec.Cmd, url string, rest func() string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("nothing to build a process with, as in a virtual machine, which starts none: ", err)
	}
	bin := filepath.Join(t.TempDir(), "website")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd = exec.Command(bin, args...)
	cmd.Env = append(os.Environ(), env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	r := bufio.NewReader(stderr)
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, url, ok := strings.Cut(strings.TrimSpace(line), "listening on ")
	if !ok {
		t.Fatalf("first line is %q", line)
	}
	return cmd, url, func() string { b, _ := io.ReadAll(r); return string(b) }
}

func TestProcess(t *testing.T) {
	for _, sig := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			cmd, url, rest := start(t, nil, "-addr", "127.0.0.1:0")
			checkStatus(t, url)
			cmd.Process.Signal(sig)
			if log := rest(); !strings.Contains(log, "shutting down") {
				t.Errorf("log after the signal: %q", log)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("after the signal: %v, want status 0", err)
			}
		})
	}
}

func checkStatus(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Get(url + "/api/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var s status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	if s.Go == "" || s.Uptime <= 0 || s.Goroutines < 2 || s.Heap == 0 || s.Memory < s.Heap {
		t.Errorf("status = %+v", s)
	}
}

// TestShutdownFinishesRequests shuts down while a handler is at work.
func TestShutdownFinishesRequests(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	begun, finish := make(chan bool), make(chan bool)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- true
		<-finish
		io.WriteString(w, "finished")
	})}
	go srv.Serve(ln)
	answer := make(chan string)
	go func() { answer <- get("http://" + ln.Addr().String()) }()
	<-begun
	down := make(chan error)
	go func() { down <- shutdown(srv) }()
	waitRefused(t, ln.Addr().String())
	select {
	case err := <-down:
		t.Fatalf("shut down before the request was finished: %v", err)
	default:
	}
	close(finish)
	if got := <-answer; got != "finished" {
		t.Errorf("the request in progress got %q", got)
	}
	if err := <-down; err != nil {
		t.Errorf("shutdown: %v", err)
	}
}

func get(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// waitRefused returns when nothing listens on addr any more.
func waitRefused(t *testing.T, addr string) {
	t.Helper()
	for range 500 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("still listening after 5 s")
}

func TestPort(t *testing.T) {
	_, url, _ := start(t, []string{"PORT=0"})
	if !strings.HasPrefix(url, "http://[::]:") && !strings.HasPrefix(url, "http://0.0.0.0:") {
		t.Errorf("with PORT: %s, want any address", url)
	}
	if strings.HasSuffix(url, ":80") {
		t.Errorf("with PORT: %s, want the port from there", url)
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := run(t.Context(), ln.Addr().String(), defaultTitle); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("run on a port in use: %v", err)
	}
}
