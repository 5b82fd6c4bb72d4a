package xtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
)

// recorder is a testing.TB that notes how a test ended.
type recorder struct {
	testing.TB
	ended, text string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any)  { r.end("skip", format, args...) }
func (r *recorder) Fatalf(format string, args ...any) { r.end("fail", format, args...) }

func (r *recorder) end(how, format string, args ...any) {
	r.ended, r.text = how, fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// run calls f as a test of its own would be.
func run(f func(testing.TB)) *recorder {
	r := new(recorder)
	done := make(chan bool)
	go func() { defer close(done); f(r) }()
	<-done
	return r
}

func TestNeed(t *testing.T) {
	missing := func(tb testing.TB) { NeedCommand(tb, "no-such-command", "nosuch") }
	there := func(tb testing.TB) { NeedCommand(tb, "go", "golang") }
	tests := []struct {
		ci, has string
		need    func(testing.TB)
		ended   string
	}{
		{"", "", missing, "skip"},
		{"", "no-such-command", missing, "skip"},
		{"1", "", missing, "skip"},
		{"1", "kvm, no-such-command", missing, "fail"},
		{"true", "no-such-command,tun", missing, "fail"},
		{"true", "no-such-command-2", missing, "skip"},
		{"1", "go", there, ""},
		{"", "", there, ""},
	}
	for _, tt := range tests {
		t.Setenv("CI", tt.ci)
		t.Setenv("TAILOR_CI_HAS", tt.has)
		r := run(tt.need)
		if r.ended != tt.ended {
			t.Errorf("CI=%q TAILOR_CI_HAS=%q: ended by %q (%s), want %q", tt.ci, tt.has, r.ended, r.text, tt.ended)
		}
		if r.ended != "" && !strings.Contains(r.text, "apt-get install nosuch") {
			t.Errorf("no remedy in %q", r.text)
		}
	}
}

// TestMachine compares the answers with what can be seen in other ways.
func TestMachine(t *testing.T) {
	t.Setenv("CI", "")
	if got, want := run(NeedRoot).ended == "", os.Geteuid() == 0; got != want {
		t.Errorf("NeedRoot lets pass: %v, want %v", got, want)
	}
	for dev, f := range map[string]func(testing.TB){"/dev/kvm": NeedKVM, "/dev/net/tun": NeedTun} {
		_, err := os.Stat(dev)
		if r := run(f); err != nil && r.ended != "skip" {
			t.Errorf("without %s: ended by %q, want skip", dev, r.ended)
		}
	}
}

// TestNeedModule asks proxies of its own.
func TestNeedModule(t *testing.T) {
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	t.Setenv("GOMODCACHE", t.TempDir())
	t.Setenv("GONOSUMDB", "*")
	t.Setenv("CI", "1")
	for _, tt := range []struct{ proxy, has, ended, text string }{
		{refusing.URL, "modules", "skip", "no example.com/m here"},
		{refusing.URL, "modules,example.com/m", "fail", "promises example.com/m"},
		{gone.URL, "", "skip", "no modules here"},
		{gone.URL, "modules", "fail", "promises modules"},
		{"off", "modules", "fail", "promises modules"},
	} {
		t.Setenv("GOPROXY", tt.proxy)
		t.Setenv("TAILOR_CI_HAS", tt.has)
		r := run(func(tb testing.TB) { r := tb.(*recorder); r.TB = t; NeedModule(r, "example.com/m@v1.0.0") })
		if r.ended != tt.ended || !strings.Contains(r.text, tt.text) {
			t.Errorf("proxy %s, TAILOR_CI_HAS=%q: ended by %q (%s), want %q with %q", tt.proxy, tt.has, r.ended, r.text, tt.ended, tt.text)
		}
	}
}
