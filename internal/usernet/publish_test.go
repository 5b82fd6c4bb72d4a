package usernet

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

var anyTCP = []Forward{{Network: "tcp", HostAddr: netip.MustParseAddrPort("127.0.0.1:0"), GuestPort: 80}}

func dialPublished(t testing.TB, n *Network) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", n.Published()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// echoServer has the guest echo all connections to port 80.
func echoServer(t testing.TB, g *guest) *gonet.TCPListener {
	l := g.listen(t, 80)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return l
}

// TestPublishBeforeListen connects before the guest has started at all; it
// starts and refuses for a while, then listens. Nothing is lost.
func TestPublishBeforeListen(t *testing.T) {
	n := networkOnly(t, Config{Forwards: anyTCP})
	var wg sync.WaitGroup
	for range 50 {
		c := dialPublished(t, n)
		wg.Go(func() {
			if err := roundTrip(c, []byte("early")); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond)
	g := newGuest(t, n, false)
	time.Sleep(50 * time.Millisecond)
	echoServer(t, g)
	wg.Wait()
}

// TestPublishLatency measures from the guest's listening to the answer that a
// waiting client gets.
func TestPublishLatency(t *testing.T) {
	for _, refusing := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond} {
		n := networkOnly(t, Config{Forwards: anyTCP})
		c := dialPublished(t, n)
		c.Write([]byte("x"))
		time.Sleep(10 * time.Millisecond)
		g := newGuest(t, n, true)
		time.Sleep(refusing)
		listening := time.Now()
		echoServer(t, g)
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		d := time.Since(listening)
		t.Logf("after refusing for %v: first answer %v after listening", refusing, d)
		// The goal is a few milliseconds; the bound is for a loaded machine.
		if d > 500*time.Millisecond {
			t.Errorf("%v", d)
		}
	}
}

// TestPublishAfterListen: once the guest has listened, refused is refused.
func TestPublishAfterListen(t *testing.T) {
	n := networkOnly(t, Config{Forwards: anyTCP})
	g := newGuest(t, n, false)
	l := echoServer(t, g)
	if err := roundTrip(dialPublished(t, n), []byte("x")); err != nil {
		t.Fatal(err)
	}
	l.Close()
	began := time.Now()
	c, err := net.Dial("tcp", n.Published()[0].String())
	if err == nil { // else the reset was there first
		defer c.Close()
		_, err = io.ReadAll(c)
	}
	if !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("the reset took %v", d)
	}
}

func TestPublishDeadline(t *testing.T) {
	n := networkOnly(t, Config{Forwards: anyTCP, PublishWait: 50 * time.Millisecond})
	newGuest(t, n, false) // which never listens
	if _, err := io.ReadAll(dialPublished(t, n)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%v, want a reset", err)
	}
}

// TestPublishClientGone has the first client, which does the trying, leave:
// the guest must never see it, and the next one must be served.
func TestPublishClientGone(t *testing.T) {
	n := networkOnly(t, Config{Forwards: anyTCP})
	quitter := dialPublished(t, n)
	time.Sleep(10 * time.Millisecond)
	stayer := dialPublished(t, n)
	stayer.Write([]byte("stay"))
	reset(quitter)
	time.Sleep(10 * time.Millisecond)
	g := newGuest(t, n, false)
	time.Sleep(300 * time.Millisecond) // time to notice
	l := g.listen(t, 80)
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4)
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "stay" {
		t.Errorf("the guest's first connection says %q, %v", buf, err)
	}
}

func TestGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, tc := range map[string]struct {
		do   func(c *net.TCPConn)
		want bool
	}{
		"waits":           {func(c *net.TCPConn) {}, false},
		"sent":            {func(c *net.TCPConn) { c.Write([]byte("x")) }, false},
		"sent and ended":  {func(c *net.TCPConn) { c.Write([]byte("x")); c.CloseWrite() }, false},
		"closed":          {func(c *net.TCPConn) { c.Close() }, true},
		"reset":           {func(c *net.TCPConn) { reset(c) }, true},
		"sent then reset": {func(c *net.TCPConn) { c.Write([]byte("x")); reset(c) }, true},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		tc.do(c.(*net.TCPConn))
		time.Sleep(5 * time.Millisecond)
		if got := gone(s.(*net.TCPConn)); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
		c.Close()
		s.Close()
	}
}

// TestCloseDelivers: a guest that answers and ends is heard.
func TestCloseDelivers(t *testing.T) {
	for range 30 {
		n := networkOnly(t, Config{Forwards: anyTCP})
		g := newGuest(t, n, false)
		l := g.listen(t, 80)
		c := dialPublished(t, n)
		gc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		gc.Write([]byte("answer"))
		gc.Close()
		n.Close()
		if b, err := io.ReadAll(c); string(b) != "answer" || err != nil {
			t.Fatalf("%q, %v", b, err)
		}
	}
}
