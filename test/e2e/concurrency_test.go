package e2e

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// field returns the number that follows a word in a program's output.
func field(t *testing.T, out, word string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)\b` + word + ` (-?[0-9]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no %q in %q", word, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestAtomic is the promise: code between two blocking operations is atomic,
// whatever it calls and allocates.
func TestAtomic(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		for memory, seconds := range map[string]string{"256M": "2", "32M": "1"} {
			r := on.run(t, "-m", memory, on.img, "atomic", seconds)
			r.want(t, 0, []string{" lost 0 "}, nil)
			if field(t, r.stdout, "updates") < 10000 || field(t, r.stdout, "collections") < 20 {
				t.Errorf("too little was tried: %s", r.stdout)
			}
			t.Log(memory, r.stdout)
		}
	}, oneThread, ownMemory, computing)
	t.Run("a plain process loses updates", func(t *testing.T) {
		r := run(t, "run", "-t", "unix", "-e", "GOMAXPROCS=4", buildImage(t, "unix", concurrencyPkg), "atomic", "2")
		if r.code != 0 || field(t, r.stdout, "lost") == 0 {
			t.Errorf("exit code %d, %s: the program would not notice", r.code, r.stdout)
		}
	})
}

// TestServeUnderPressure: while others allocate, the collector, timers and the
// network all make progress, and every client is served.
func TestServeUnderPressure(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		at := vmtest.FreePort(t, "tcp")
		p := on.start(t, nil, "-m", "48M", "-p", at+":80", on.img, "serve")
		p.expect("ready")
		var bad failures
		var wg sync.WaitGroup
		begin, long := time.Now(), 4*time.Second
		if on.slow > 1 {
			long *= 2 // a busy machine leaves an emulated one little
		}
		for range 8 {
			wg.Go(func() {
				c := &http.Client{Timeout: limit, Transport: &http.Transport{DisableKeepAlives: true}}
				// Long enough for the collections, however fast it serves.
				for n := 0; n < on.times(400) || time.Since(begin) < long; n++ {
					resp, err := c.Get("http://" + at + "/")
					if err != nil {
						bad.addf("%v", err)
						return
					}
					if resp.ContentLength != 1000 {
						bad.addf("%d bytes", resp.ContentLength)
					}
					resp.Body.Close()
				}
			})
		}
		wg.Wait()
		bad.report(t)
		p.signal(syscall.SIGTERM)
		r := p.wait()
		r.want(t, 0, nil, nil)
		if field(t, r.stdout, "collections") < on.times(50) || field(t, r.stdout, "ticks") < on.times(10) {
			t.Errorf("no progress: %s", r.stdout)
		}
		t.Log(r.stdout)
	}, ownMemory, ownNetwork)
}

// TestFill: a guest uses most of its memory before it says that there is no
// more, and says so soon, whether it yields or not.
func TestFill(t *testing.T) {
	eachRelease(t, func(t *testing.T, on release) {
		memory := 48 // MiB
		if on.slow > 1 {
			memory = 32 // the collector's work grows with its square
		}
		for _, how := range []string{"tight", "yielding"}[:on.times(2)] {
			r := setting{limit: 2 * time.Minute}.start(t, on.line("-m", fmt.Sprintf("%dM", memory), "--stall-warning=0", on.img, "fill", how)...).wait()
			r.want(t, 2, nil, []string{"runtime: out of memory", "fatal error: out of memory", fmt.Sprintf("-m %dM", 2*memory)})
			kept := r.stderr[strings.LastIndex(r.stderr, "kept ")+1:]
			if n := field(t, "k"+kept, "kept"); n < (memory-16)*3/4 {
				t.Errorf("%s: out of memory with %d MiB of %d in use", how, n, memory)
			} else {
				t.Logf("%s: %d MiB after %v", how, n, r.took)
			}
		}
	}, ownMemory, computing)
}

// TestTooManyConnections: a server whose connections need more memory than there
// is ends with Go's message, and soon.
func TestTooManyConnections(t *testing.T) {
	each(t, testTooManyConnections, ownMemory, ownNetwork)
}

func testTooManyConnections(t *testing.T, on target) {
	at := vmtest.FreePort(t, "tcp")
	p := setting{limit: time.Minute}.start(t, on.line("-m", "64M", "-p", at+":7", on.image(t, concurrencyPkg), "hold")...)
	p.expect("ready")
	var conns []net.Conn
	for range 1000 {
		c, err := net.DialTimeout("tcp", at, limit)
		if err != nil {
			break // it has ended
		}
		defer c.Close()
		conns = append(conns, c)
	}
	full := time.Now()
	var wg sync.WaitGroup
	for _, c := range conns {
		wg.Go(func() {
			c.SetDeadline(time.Now().Add(limit))
			c.Write(make([]byte, 200<<10)) // and nothing is read
		})
	}
	r := p.wait()
	wg.Wait()
	r.want(t, 2, nil, []string{"out of memory", "io.Copy"})
	t.Logf("ended %v after %d connections had data to hold", time.Since(full), len(conns))
	if n := strings.Count(r.stderr, "\ngoroutine "); n < 200 {
		t.Errorf("%d goroutines shown", n)
	}
}
