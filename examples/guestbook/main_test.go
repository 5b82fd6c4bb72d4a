package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func open(t *testing.T, dir string) *book {
	t.Helper()
	b, err := openBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sync.OnceFunc(func() { b.file.Close() }))
	return b
}

func texts(b *book) (list []string) {
	for _, e := range b.latest() {
		list = append(list, e.Text)
	}
	return list
}

// Entries are there after a restart, the newest first, also those of many
// visitors at once; without the line that was being written.
func TestBookReopens(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	var all sync.WaitGroup
	for i := range 300 {
		all.Go(func() {
			if err := b.put(entry{Text: fmt.Sprint("entry ", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := b.put(entry{Text: "the last"}); err != nil {
		t.Fatal(err)
	}
	b.close()
	if err := b.put(entry{Text: "too late"}); !errors.Is(err, errClosed) {
		t.Errorf("put into a closed book: %v", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "entries.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, `{"text":"half`)
	f.Close()

	b = open(t, dir)
	defer b.close()
	if got := texts(b); b.count() != 301 || len(got) != maxShown || got[0] != "the last" {
		t.Errorf("%d entries, shown are %d, the newest %q", b.count(), len(got), got[0])
	}
	if err := b.put(entry{Text: "after"}); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(b.all())
	if lines := strings.Split(string(text), "\n"); err != nil || len(lines) != 303 || !strings.Contains(lines[301], `"after"`) {
		t.Errorf("the file has %d lines (%v), the last is %q", len(lines)-1, err, lines[len(lines)-2])
	}
}

func TestBookDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":       "{\"text\":\"a\"}\nnonsense\n",
		"a long line":   `{"text":"` + strings.Repeat("x", 3*maxLine),
		"not an object": "[1]\n",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "entries.jsonl")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openBook(dir); err == nil || !strings.Contains(err.Error(), path+": byte ") {
			t.Errorf("%s: %v", name, err)
		}
		if now, _ := os.ReadFile(path); string(now) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// A file that cannot be written to is an error for each visitor, and what was
// there is shown still.
func TestBookFails(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	if err := b.put(entry{Text: "before"}); err != nil {
		t.Fatal(err)
	}
	b.close()
	b = open(t, dir)
	path := b.file.Name()
	b.file.Close()
	var err error
	if b.file, err = os.Open(path); err != nil { // for reading only
		t.Fatal(err)
	}
	srv := httptest.NewServer(handler(b, "Title"))
	defer srv.Close()
	if code, text := send(t, srv, "A", "lost"); code != http.StatusServiceUnavailable {
		t.Errorf("POST = %d %q", code, text)
	}
	if err := b.put(entry{Text: "lost too"}); !errors.Is(err, errBroken) {
		t.Errorf("put after a failure: %v", err)
	}
	if got := texts(b); len(got) != 1 || got[0] != "before" {
		t.Errorf("shown is %q", got)
	}
	b.close()

	// One fsync that failed is enough, unless the disk is full.
	for failure, after := range map[error]error{syscall.EIO: errBroken, syscall.ENOSPC: nil} {
		b := open(t, t.TempDir())
		b.sync = func() error {
			b.sync = b.file.Sync
			return failure
		}
		if err := b.put(entry{Text: "lost"}); !errors.Is(err, failure) {
			t.Errorf("put: %v, want %v", err, failure)
		}
		if err := b.put(entry{Text: "next"}); !errors.Is(err, after) {
			t.Errorf("put after %v: %v, want %v", failure, err, after)
		}
		if text, err := os.ReadFile(b.file.Name()); err != nil || strings.Contains(string(text), "lost") {
			t.Errorf("after %v the file has %q, %v", failure, text, err)
		}
		b.close()
	}
}

func send(t *testing.T, srv *httptest.Server, name, text string) (int, string) {
	t.Helper()
	c := srv.Client()
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := c.PostForm(srv.URL+"/", url.Values{"name": {name}, "text": {text}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestHandler(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.close()
	srv := httptest.NewServer(handler(b, "A <title>"))
	defer srv.Close()
	for _, tt := range []struct {
		name, text string
		code       int
	}{
		{"Ada", "  <b>hello</b>\n", http.StatusSeeOther},
		{"", "no name", http.StatusSeeOther},
		{"Ada", " ", http.StatusBadRequest},
		{"Ada", strings.Repeat("x", maxText+1), http.StatusBadRequest},
		{strings.Repeat("x", maxName+1), "text", http.StatusBadRequest},
		{"Ada", strings.Repeat("x", 20<<10), http.StatusBadRequest},
	} {
		if code, text := send(t, srv, tt.name, tt.text); code != tt.code {
			t.Errorf("POST %.20q %.20q = %d %q, want %d", tt.name, tt.text, code, text, tt.code)
		}
	}
	for path, want := range map[string]string{
		"/":        "&lt;b&gt;hello&lt;/b&gt;</p>",
		"/?":       "<h1>A &lt;title&gt;</h1>",
		"/entries": `"name":"Ada","text":"\u003cb\u003ehello\u003c/b\u003e"}` + "\n",
		"/none":    "404",
	} {
		resp, err := srv.Client().Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), want) {
			t.Errorf("GET %s has no %q:\n%s", path, want, body)
		}
	}
}

// Another site's page cannot have a visitor's browser write.
func TestCrossOrigin(t *testing.T) {
	b := open(t, t.TempDir())
	defer b.close()
	r := httptest.NewRequest("POST", "/", strings.NewReader("text=x"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	handler(b, "Title").ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || b.count() != 0 {
		t.Errorf("POST from elsewhere = %d, %d entries", w.Code, b.count())
	}
}

// A flag counts more than the file, the file more than what is compiled in.
func TestSettings(t *testing.T) {
	conf := t.TempDir()
	if s, err := readSettings(conf); err != nil || s.over(defaults(false)) != (settings{"Guestbook", ":80"}) {
		t.Errorf("without a file: %+v, %v", s, err)
	}
	path := filepath.Join(conf, "guestbook.json")
	os.WriteFile(path, []byte(`{"title": "From the file"}`), 0o666)
	s, err := readSettings(conf)
	if err != nil || s.over(defaults(true)) != (settings{"From the file", ":443"}) {
		t.Errorf("with a file: %+v, %v", s, err)
	}
	if got := (settings{Title: "From a flag"}).over(s); got.Title != "From a flag" {
		t.Errorf("with a flag: %+v", got)
	}
	os.WriteFile(path, []byte(`{`), 0o666)
	if _, err := readSettings(conf); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("with a damaged file: %v", err)
	}
}

func TestKey(t *testing.T) {
	conf := t.TempDir()
	if key, err := readKey(conf); key != nil || err != nil {
		t.Errorf("without a key: %v, %v", key, err)
	}
	os.WriteFile(filepath.Join(conf, "tls.key"), []byte("nonsense"), 0o600)
	if _, err := readKey(conf); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("with a key and no certificate: %v", err)
	}
	os.WriteFile(filepath.Join(conf, "tls.crt"), []byte("nonsense"), 0o600)
	if _, err := readKey(conf); err == nil {
		t.Error("with nonsense for a key: no error")
	}
}

// The whole program, until it is told to end.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, t.TempDir(), t.TempDir(), settings{Addr: "127.0.0.1:0"}) }()
	time.AfterFunc(100*time.Millisecond, cancel)
	if err := <-done; err != nil {
		t.Error(err)
	}
	err := run(t.Context(), filepath.Join(t.TempDir(), "none"), t.TempDir(), settings{})
	if !errors.Is(err, syscall.ENOENT) {
		t.Errorf("without a folder: %v", err)
	}
}
