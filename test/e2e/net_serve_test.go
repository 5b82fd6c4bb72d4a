package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the guest's servers do for clients outside, each over every road.
func TestServe(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		p := r.serve(t)
		t.Run("half-close", func(t *testing.T) { serveHalfClose(t, r) })
		t.Run("many", func(t *testing.T) { serveMany(t, r, r.on.times(1000)) })
		t.Run("churn", func(t *testing.T) { serveChurn(t, r, r.on.times(5000)) })
		t.Run("slow reader", func(t *testing.T) { serveSlowReader(t, r) })
		t.Run("reset", func(t *testing.T) { serveReset(t, r, p) })
		t.Run("datagrams", func(t *testing.T) { serveDatagrams(t, r) })
		t.Run("nothing left", func(t *testing.T) { serveNothingLeft(t, r) })
	})
}

// serveHalfClose says all it has to, and then gets everything back.
func serveHalfClose(t *testing.T, r *road) {
	c := r.tcp(t, "7")
	size := int64(r.on.times(4 << 20))
	go func() {
		io.CopyN(c, noise("half"), size)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	want, _ := io.ReadAll(io.LimitReader(noise("half"), size))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d came back, equal %v, %v", len(got), size, bytes.Equal(got, want), err)
	}
}

// failures collects what went wrong in many goroutines, to report the first
// few: what is wrong with one connection is usually wrong with all.
type failures struct {
	mu    sync.Mutex
	first []string
	n     int
}

func (f *failures) addf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n <= 3 {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

func (f *failures) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n > 0
}

func (f *failures) report(t testing.TB) {
	t.Helper()
	if f.any() {
		t.Errorf("%d failures, the first ones:\n%s", f.n, strings.Join(f.first, "\n"))
	}
}

// serveMany has n connections open at a time.
func serveMany(t *testing.T, r *road, n int) {
	conns := make([]net.Conn, n)
	var bad failures
	defer bad.report(t)
	var wg sync.WaitGroup
	slots := make(chan bool, 64) // connection attempts at a time
	for i := range conns {
		wg.Go(func() {
			slots <- true
			defer func() { <-slots }()
			c, err := r.dial(t.Context(), "tcp 7")
			if err != nil {
				bad.addf("connection %d: %v", i, err)
				return
			}
			conns[i] = c
		})
	}
	wg.Wait()
	for i, c := range conns {
		if c == nil {
			continue
		}
		wg.Go(func() {
			defer c.Close()
			want := "connection " + strconv.Itoa(i)
			c.SetDeadline(time.Now().Add(limit))
			io.WriteString(c, want)
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
				bad.addf("connection %d: %q, %v", i, got, err)
			}
		})
	}
	wg.Wait()
}

// serveChurn opens and closes n connections.
func serveChurn(t *testing.T, r *road, n int) {
	begin := time.Now()
	next := make(chan int)
	var bad failures
	defer bad.report(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range next {
				if err := r.echoByte(t.Context()); err != nil {
					bad.addf("connection %d: %v", i, err)
				}
			}
		})
	}
	for i := range n {
		if bad.any() {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	t.Logf("%.0f connections/s", float64(n)/time.Since(begin).Seconds())
}

func (r *road) echoByte(ctx context.Context) error {
	c, err := r.dial(ctx, "tcp 7")
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

// serveSlowReader does not read for a while what the guest pours out: the
// guest must be held back, and go on when there is room.
func serveSlowReader(t *testing.T, r *road) {
	c := r.tcp(t, "19")
	// Held back is when no more bytes go in.
	var before, now int64 = -1, 0
	for try := 0; before != now; try++ {
		if try == 50 {
			t.Fatal("the guest writes on and on to a connection that nobody reads")
		}
		time.Sleep(200 * time.Millisecond)
		before, now = now, r.stats(t).Poured
	}
	if now == 0 || now > 32<<20 {
		t.Errorf("%d bytes went into a connection that nobody reads", now)
	}
	if n, err := io.CopyN(io.Discard, c, 64<<20); err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	other := r.tcp(t, "7")
	io.WriteString(other, "x")
	if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
		t.Errorf("another connection beside the slow one: %v", err)
	}
}

// discard returns a connection that the guest has accepted and discards.
func (r *road) discard(t testing.TB) *net.TCPConn {
	t.Helper()
	c := r.tcp(t, "9")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

// serveReset resets connections in the middle of a transfer, in both
// directions.
func serveReset(t *testing.T, r *road, p *proc) {
	c := r.discard(t)
	if _, err := io.CopyN(c, noise("reset"), 1<<20); err != nil {
		t.Fatal(err)
	}
	c.SetLinger(0)
	c.Close()
	p.expect("connection reset by peer\n")
	// As many as two cores would like to serve at once, all cut off.
	for range 50 {
		c := r.tcp(t, "19")
		if _, err := io.CopyN(io.Discard, c, 100<<10); err != nil {
			t.Fatal(err)
		}
		c.SetLinger(0)
		c.Close()
	}
	c = r.discard(t) // a FIN is not taken for a reset
	io.WriteString(c, "12345")
	c.Close()
	p.expect("discarded 5: <nil>\n")
}

// serveDatagrams sends to the guest's echo. A datagram may be lost; one of each
// size in three tries must come back.
func serveDatagrams(t *testing.T, r *road) {
	c := r.mustDial(t, "udp 7")
	buf := make([]byte, 1<<16)
	for _, size := range []int{0, 1, 100, 1472, 1473, 4000, 9000, 32000, 65000, 65507} {
		want, _ := io.ReadAll(io.LimitReader(noise("udp"), int64(size)))
		err := fmt.Errorf("nothing")
		for try := 0; try < 3 && err != nil; try++ {
			if _, err := c.Write(want); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			c.SetReadDeadline(time.Now().Add(2 * time.Second))
			var n int
			n, err = c.Read(buf)
			if err == nil && !bytes.Equal(buf[:n], want) {
				err = fmt.Errorf("got %d other bytes", n)
			}
		}
		if err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// serveNothingLeft sees the goroutines of all those connections gone.
func serveNothingLeft(t *testing.T, r *road) {
	var n int64
	for range 50 {
		// 8 servers and what belongs to the runtime and this very request; the
		// slow reader's and other open connections are closed by their tests.
		if n = r.stats(t).Goroutines; n < 24 {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("%d goroutines in the guest, after all connections were closed", n)
}

// TestServeSixAndPing: IPv6 and echo requests, which the user network does not
// publish.
func TestServeSixAndPing(t *testing.T) { each(t, testServeSixAndPing, ownNetwork) }

func testServeSixAndPing(t *testing.T, on target) {
	r := tapRoad(t, on)
	ping := needPing(t)
	r.serve(t)
	r.guestAt(tapGuest6)
	t.Run("tcp6", func(t *testing.T) { serveHalfClose(t, r) })
	t.Run("udp6", func(t *testing.T) { serveDatagrams(t, r) })
	for _, addr := range []string{tapGuest4, tapGuest6} {
		for _, size := range []string{"0", "56", "1472", "8000"} { // up to several fragments
			t.Run("ping "+addr+" "+size, func(t *testing.T) {
				out := r.ns.command(t, ping, "-n", "-c", "3", "-i", "0.02", "-W", "2", "-s", size, addr)
				if !strings.Contains(out, " 0% packet loss") {
					t.Error(out)
				}
			})
		}
	}
	t.Run("port unreachable", func(t *testing.T) {
		var err error
		r.ns.do(func() error {
			c, e := net.Dial("udp", net.JoinHostPort(tapGuest4, "5"))
			if e != nil {
				err = e
				return e
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(5 * time.Second))
			c.Write([]byte("x"))
			_, err = c.Read(make([]byte, 1))
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a datagram to a port that nobody has: %v", err)
		}
	})
	t.Run("tcp refused", func(t *testing.T) {
		err := r.ns.do(func() error {
			c, err := net.DialTimeout("tcp", net.JoinHostPort(tapGuest4, "5"), 5*time.Second)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("a connection to a port that nobody has: %v", err)
		}
	})
}

// TestServeLate connects before the guest listens: the client must wait, and be
// served.
func TestServeLate(t *testing.T) { each(t, testServeLate, ownNetwork) }

func testServeLate(t *testing.T, on target) {
	r := userRoad(t, on)
	begin := time.Now()
	p := r.start(t, "late")
	var c net.Conn
	var err error
	for time.Since(begin) < 5*time.Second { // until the tool has the port
		if c, err = r.dial(t.Context(), "tcp 7"); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Skipf("the machine is too busy: connected only after %v", took)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "early")
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if string(got) != "early" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if took := time.Since(begin); took < time.Second || took > 3*time.Second {
		t.Errorf("served after %v, the guest listens after 1 s", took)
	}
	p.wait().want(t, 0, nil, nil)
}

// TestNetLinger: a guest that has more connections to remember than it has room for
// forgets the oldest, and does not reset it.
func TestNetLinger(t *testing.T) {
	r := tapRoad(t, targetHVT(t))
	r.start(t, "serve").expect("ready")
	const ip = 0x0008 // ETH_P_IP, in network order
	f := r.packets(t, ip)
	var ended, resets atomic.Int64
	go func() {
		for b := make([]byte, 128); t.Context().Err() == nil; {
			n, err := f.Read(b)
			if err != nil || n < 54 || b[23] != unix.IPPROTO_TCP || b[34] != 0 || b[35] != 80 {
				continue // not from port 80 of the guest
			}
			const fin, rst = 1, 4
			ended.Add(int64(b[47] & fin))
			resets.Add(int64(b[47] & rst / rst))
		}
	}()
	const many = 700 // netstack remembers 512
	for range many {
		c, err := r.dial(t.Context(), "tcp 80")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
		if b, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(b), "hello\n") {
			t.Fatalf("%q, %v", b, err)
		}
		c.Close()
	}
	for end := time.Now().Add(limit); ended.Load() < many && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if ended.Load() < many || resets.Load() > 0 {
		t.Errorf("%d of %d connections ended, %d were reset", ended.Load(), many, resets.Load())
	}
}
