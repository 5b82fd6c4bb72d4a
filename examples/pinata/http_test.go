package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestReadRequest(t *testing.T) {
	long := strings.Repeat("x", webRequest)
	for text, want := range map[string]request{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n":                {"GET", "/"},
		"GET / HTTP/1.0\n\n":                               {"GET", "/"},
		"HEAD /a?b=c HTTP/1.1\r\n\r\n":                     {"HEAD", "/a"},
		"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc": {"POST", "/a"},
		"GET http://host/a HTTP/1.1\r\n\r\n":               {"GET", "/a"},
		"GET http://host?a/b HTTP/1.1\r\n\r\n":             {"GET", "/"},
		"GET https://host HTTP/1.1\r\n\r\n":                {"GET", "/"},
		"GET  / HTTP/1.1\r\n\r\n":                          {},
		"GET / HTTP/2.0\r\n\r\n":                           {},
		"GET / HTTP/1.10\r\n\r\n":                          {},
		"GET /\r\n\r\n":                                    {},
		"GET * HTTP/1.1\r\n\r\n":                           {},
		"GET a HTTP/1.1\r\n\r\n":                           {},
		" / HTTP/1.1\r\n\r\n":                              {},
		"":                                                 {},
		"GET / HTTP/1.1\r\nHost: a\r\n":                    {},
		"GET /" + long + " HTTP/1.1\r\n\r\n":               {},
		"GET / HTTP/1.1\r\nA: " + long + "\r\n\r\n":        {},
		"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", webRequest/6) + "\r\n": {},
		"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n\n":                       {},
	} {
		got, err := readRequest(strings.NewReader(text))
		if got != want || (err == errRequest) != (want == request{}) {
			t.Errorf("%.60q: %v, %v", text, got, err)
		}
	}
}

// What is taken for a request is one for net/http too, with the same path.
func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"))
	f.Add([]byte("HEAD http://a/b HTTP/1.0\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := readRequest(bytes.NewReader(text))
		if err != nil {
			if got != (request{}) || err != errRequest {
				t.Fatalf("%v, %v", got, err)
			}
			return
		}
		if !strings.HasPrefix(got.path, "/") || strings.ContainsAny(got.path, "? \n") || strings.ContainsAny(got.method, " \n") {
			t.Fatalf("%q", got)
		}
		want, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil || want.URL.Path == "" {
			return // net/http wants more of a request than we look at
		}
		if path, err := url.PathUnescape(got.path); err != nil || path != want.URL.Path {
			t.Fatalf("%q, net/http says %q", got.path, want.URL.Path)
		}
	})
}

func TestPages(t *testing.T) {
	s := start(t, settings{}, nil)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.pool, ServerName: "pinata"}}, Timeout: 10 * time.Second}
	for _, base := range []string{"http://" + s.web.Addr().String(), "https://" + s.webs.Addr().String()} {
		for _, tt := range []struct {
			method, path string
			code         int
			kind, text   string
		}{
			{"GET", "/", 200, "text/html", "BEGIN CERTIFICATE"},
			{"GET", "/", 200, "text/html", "Port " + port(s.server)},
			{"HEAD", "/", 200, "text/html", ""},
			{"GET", "/style.css", 200, "text/css", "color-scheme"},
			{"GET", "/picture.js?x", 200, "text/javascript", "EventSource"},
			{"GET", "/ca.pem", 200, "application/x-pem-file", string(s.pem)},
			{"GET", "/status", 200, "application/json", `"heap_bytes"`},
			{"GET", "/nothing", 404, "text/plain", "404"},
			{"GET", "/../server.go", 404, "text/plain", "404"},
			{"GET", "/site/index.html", 404, "text/plain", "404"},
			{"POST", "/", 405, "text/plain", "405"},
		} {
			req, err := http.NewRequest(tt.method, base+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			h := resp.Header
			if resp.StatusCode != tt.code || err != nil || !strings.HasPrefix(h.Get("Content-Type"), tt.kind) || !strings.Contains(string(body), tt.text) || h.Get("Content-Security-Policy") == "" {
				t.Errorf("%s %s = %d %v %.200q, %v", tt.method, base+tt.path, resp.StatusCode, h, body, err)
			}
		}
	}
	if strings.Contains(string(s.pages["/"].text), "{{") {
		t.Error("the page has something that was not filled in")
	}
}

// What is not HTTP is answered, or dropped, and a request with a body gets its
// answer all the same.
func TestNotHTTP(t *testing.T) {
	s := start(t, settings{}, nil)
	for text, want := range map[string]string{
		"nonsense\r\n\r\n": "HTTP/1.1 400 ",
		"POST / HTTP/1.1\r\nContent-Length: 30000\r\n\r\n" + strings.Repeat("x", 30000): "HTTP/1.1 405 ",
		"": "HTTP/1.1 400 ",
	} {
		conn := dial(t, s.web)
		io.WriteString(conn, text)
		conn.(*net.TCPConn).CloseWrite()
		if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%.20q: %.100q, %v", text, got, err)
		}
	}
}

// A watcher gets the figures as events, once for each attempt, and goes when it
// likes; too many are refused.
func TestWatch(t *testing.T) {
	s := start(t, settings{}, nil)
	resp, err := http.Get("http://" + s.web.Addr().String() + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("the type is %q", kind)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func() (st status) {
		t.Helper()
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(text), &st); err != nil {
					t.Fatal(err)
				}
				return st
			}
		}
		t.Fatal(lines.Err())
		return st
	}
	if st := next(); len(st.Events) != 0 || st.Heap == 0 {
		t.Errorf("the first message is %+v", st)
	}
	const n = 5
	for range n {
		dial(t, s.server).Close()
	}
	for got := 0; got < n; {
		st := next()
		got += len(st.Events)
		if got > n || len(st.Events) > 0 && st.Events[0][1] != int(repelled) {
			t.Fatalf("%d events of %d: %v", got, n, st.Events)
		}
	}
	s.watching.Store(maxWatch)
	if full, err := http.Get("http://" + s.web.Addr().String() + "/events"); err != nil || full.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one too many: %v, %v", full, err)
	}
	s.watching.Store(1)
	resp.Body.Close()
	for range 1000 {
		if s.watching.Load() == 0 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("it writes to a watcher who has gone")
}

// Far more events than fit become the last ones.
func TestEventsBounded(t *testing.T) {
	b := newBoard()
	for i := range 10 * maxEvents {
		b.begin(clientDoor)
		b.end(clientDoor, peerOf(tcp(fmt.Sprintf("10.0.0.%d:1", i%250))), false, io.EOF)
	}
	text, next := b.json(3, newCrowd(1, 1), newCrowd(1, 1))
	var st status
	if err := json.Unmarshal(text, &st); err != nil || len(st.Events) != maxEvents || next != 10*maxEvents {
		t.Errorf("%d events, the next is %d, %v", len(st.Events), next, err)
	}
}
