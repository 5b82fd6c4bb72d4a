package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const websitePkg = "../../examples/website"

// client returns an HTTP client that goes the road, whatever a URL's host is.
func (r *road) client(t testing.TB, keepAlive bool) *http.Client {
	tr := &http.Transport{
		DialContext:         func(ctx context.Context, _, _ string) (net.Conn, error) { return r.dial(ctx, "tcp 80") },
		DisableKeepAlives:   !keepAlive,
		MaxIdleConnsPerHost: 256,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: limit}
}

func get(c *http.Client, path string) (string, error) {
	resp, err := c.Get("http://guest" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return string(body), err
}

// website starts examples/website and waits until it serves.
func (r *road) website(t testing.TB) *proc {
	t.Helper()
	p := r.startImage(t, r.on.image(t, websitePkg), nil)
	if !p.errOut.Await("listening on") {
		t.Fatalf("the website ended:\n%s", p.errOut)
	}
	return p
}

func TestHTTPRequests(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		p := r.website(t)
		t.Run("sequential", func(t *testing.T) {
			c := r.client(t, true)
			begin := time.Now()
			n := r.on.times(10000)
			for i := range n {
				body, err := get(c, "/")
				if err != nil || !strings.Contains(body, "<h1>It runs</h1>") {
					t.Fatalf("request %d: %v, %d bytes", i, err, len(body))
				}
			}
			t.Logf("%.0f requests/s on one connection", float64(n)/time.Since(begin).Seconds())
		})
		t.Run("parallel", func(t *testing.T) {
			c := r.client(t, false) // 200 connections at once, and each its own
			var wg sync.WaitGroup
			var served atomic.Int64
			var bad failures
			defer bad.report(t)
			n := r.on.times(200)
			for i := range n {
				wg.Go(func() {
					for _, path := range []string{"/", "/style.css", "/api/status"} {
						body, err := get(c, path)
						if err != nil || len(body) < 10 {
							bad.addf("request %d for %s: %v, %q", i, path, err, body)
							continue
						}
						served.Add(1)
					}
				})
			}
			wg.Wait()
			if got := served.Load(); got != int64(3*n) {
				t.Errorf("%d requests of %d were served", got, 3*n)
			}
		})
		t.Run("shutdown", func(t *testing.T) {
			p.signal(syscall.SIGTERM)
			p.wait().want(t, 0, nil, []string{"shutting down"})
		})
	})
}

// TestShutdownInProgress sends SIGTERM while a request is being answered: that
// one is finished, with a graceful end.
func TestShutdownInProgress(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		p := r.website(t)
		c := r.tcp(t, "80")
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: guest\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		p.signal(syscall.SIGTERM)
		if !p.errOut.Await("shutting down") {
			t.Fatalf("the website ended without shutting down:\n%s", p.errOut)
		}
		io.WriteString(c, "\r\n")
		// The server closes idle connections, and this one is new to it: either
		// it is answered in full or it is closed, never cut off in the middle.
		answer, err := io.ReadAll(c)
		if err == nil && len(answer) > 0 && !strings.HasSuffix(strings.TrimSpace(string(answer)), "</html>") {
			t.Errorf("cut off: %.100q...", answer)
		}
		p.wait().want(t, 0, nil, nil)
	})
}

// noise returns bytes that depend on the seed only; the guest makes the same.
func noise(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }

func TestHTTPBulk(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		size := int64(r.on.times(64 << 20))
		r.serve(t)
		c := r.client(t, true)
		t.Run("upload", func(t *testing.T) {
			h := sha256.New()
			begin := time.Now()
			resp, err := c.Post("http://guest/upload", "application/octet-stream", io.TeeReader(io.LimitReader(noise("up"), size), h))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, _ := io.ReadAll(resp.Body)
			t.Logf("%.0f MB/s", float64(size)/1e6/time.Since(begin).Seconds())
			if want := fmt.Sprintf("%d %x <nil>", size, h.Sum(nil)); string(got) != want {
				t.Errorf("the guest got %s\nwant          %s", got, want)
			}
		})
		t.Run("download", func(t *testing.T) {
			begin := time.Now()
			resp, err := c.Get(fmt.Sprintf("http://guest/download?bytes=%d&seed=down", size))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, want := sha256.New(), sha256.New()
			n, err := io.Copy(got, resp.Body)
			t.Logf("%.0f MB/s", float64(size)/1e6/time.Since(begin).Seconds())
			io.CopyN(want, noise("down"), size)
			if n != size || err != nil || string(got.Sum(nil)) != string(want.Sum(nil)) {
				t.Errorf("%d bytes of %d, %v; sum %x, want %x", n, size, err, got.Sum(nil), want.Sum(nil))
			}
		})
	})
}

// stats asks the guest's servers what they have done.
func (r *road) stats(t testing.TB) (s struct{ Poured, Goroutines int64 }) {
	t.Helper()
	body, err := get(r.client(t, false), "/stats")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	return s
}
