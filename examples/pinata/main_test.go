package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An issuer is an authority of a test's, which has its key.
type issuer struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newIssuer(t testing.TB) issuer {
	t.Helper()
	c := template("Test CA", time.Now())
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	key := newKey(t)
	cert, err := sign(c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{cert, key}
}

// issue makes a certificate, which change may change before it is signed.
func (i issuer) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	c := template("peer", time.Now())
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if change != nil {
		change(c)
	}
	key := newKey(t)
	cert, err := sign(c, i.Certificate, &key.PublicKey, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// settings returns an authority with a certificate of its for the program.
func (i issuer) settings(t testing.TB) settings {
	t.Helper()
	own := i.issue(t, nil)
	der, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return settings{secret: "the secret", ca: pemOf("CERTIFICATE", i.Raw), cert: pemOf("CERTIFICATE", own.Certificate[0]), key: pemOf("PRIVATE KEY", der)}
}

// start serves on ports that are free, until the end of the test. change may
// change the options.
func start(t testing.TB, given settings, change func(*options)) *server {
	t.Helper()
	const any = "127.0.0.1:0"
	o := options{any, any, any, any, any, 1, limits{256, 256, 5 * time.Second, 0}}
	if change != nil {
		change(&o)
	}
	set, err := given.complete()
	if err != nil {
		t.Fatal(err)
	}
	id, err := set.identity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(newFortress(id, set.secret, o), o)
	if err != nil {
		t.Fatal(err)
	}
	s.visits.SetOutput(io.Discard)
	s.winners.SetOutput(io.Discard)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * time.Second):
			t.Error("serves on 2 s after it was told to end")
		}
		checkSums(t, s)
	})
	return s
}

// checkSums checks that each attempt ended as one thing, and that nobody is left.
func checkSums(t testing.TB, s *server) {
	t.Helper()
	var failed, why int64
	for d := range s.board.tallies {
		b := &s.board.tallies[d]
		if b.begun.Load() != b.handed.Load()+b.failed.Load() || b.open.Load() != 0 || b.itself.Load() > b.handed.Load() {
			t.Errorf("%s: %d begun, %d handed, %d failed, %d open", doorNames[d], b.begun.Load(), b.handed.Load(), b.failed.Load(), b.open.Load())
		}
		failed += b.failed.Load()
	}
	for i := range s.board.why {
		why += s.board.why[i].Load()
	}
	if failed != why {
		t.Errorf("%d failed, for %d reasons", failed, why)
	}
	if s.crowd.all != 0 || len(s.crowd.slots) != 0 || len(s.crowd.peers) != 0 {
		t.Errorf("%d visitors and %d slots are left", s.crowd.all, len(s.crowd.slots))
	}
}

// status is what /status says.
type status struct {
	Doors  map[string]struct{ Begun, Open, Handed, Itself, Failed int }
	Failed map[string]int
	Heap   int `json:"heap_bytes"`
	Events [][3]int
}

func (s *server) status(t testing.TB) (st status) {
	t.Helper()
	text, _ := s.board.json(0, s.crowd, s.webCrowd)
	if err := json.Unmarshal(text, &st); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return st
}

// The program as a process, from its start to a signal.
func TestProcess(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("nothing to build a process with, as in a virtual machine, which starts none: ", err)
	}
	bin := filepath.Join(t.TempDir(), "pinata")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const any = "127.0.0.1:0"
	cmd := exec.Command(bin, "-web", any, "-webs", any, "-server", any, "-back", any, "-client", any)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line := make([]byte, 200)
	n, _ := stderr.Read(line)
	_, at, _ := strings.Cut(string(line[:n]), "listening on ")
	url, _, ok := strings.Cut(at, ",")
	if !ok {
		t.Fatalf("the first line is %q", line[:n])
	}
	resp, err := http.Get(url + "/ca.pem")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if block, _ := pem.Decode(text); block == nil {
		t.Errorf("ca.pem is %q", text)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	rest, _ := io.ReadAll(stderr)
	if err := cmd.Wait(); err != nil || !bytes.Contains(rest, []byte("shutting down")) {
		t.Errorf("after the signal: %v\n%s", err, rest)
	}
	cmd = exec.Command(bin, "-ca", "/nonexistent.pem")
	if out, err := cmd.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("/nonexistent.pem")) {
		t.Errorf("with an authority that is not there: %v\n%s", err, out)
	}
}

func TestOptions(t *testing.T) {
	good := options{backPort: 1, limits: limits{1, 1, 1, 0}}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*options){
		"-max":       func(o *options) { o.max = 0 },
		"-per-peer":  func(o *options) { o.perPeer = -1 },
		"-handshake": func(o *options) { o.handshake = 0 },
		"70000":      func(o *options) { o.backPort = 70000 },
	} {
		o := good
		change(&o)
		if err := run(t.Context(), o, settings{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something of %s", err, want)
		}
	}
}

func TestPortInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const any = "127.0.0.1:0"
	err = run(t.Context(), options{any, any, any, any, ln.Addr().String(), 1, limits{1, 1, time.Second, 0}}, settings{}, os.TempDir()+"/none")
	if err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("run on a port in use: %v", err)
	}
}
