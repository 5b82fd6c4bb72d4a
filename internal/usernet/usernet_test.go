package usernet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func gw(port uint16) netip.AddrPort  { return netip.AddrPortFrom(gateway4, port) }
func gw6(port uint16) netip.AddrPort { return netip.AddrPortFrom(gateway6, port) }

func echoConn(c *net.TCPConn) { io.Copy(c, c) }

// roundTrip sends p, a FIN, and expects p back and a FIN.
func roundTrip(c interface {
	io.ReadWriter
	CloseWrite() error
}, p []byte) error {
	werr := make(chan error, 1)
	go func() {
		_, err := c.Write(p)
		werr <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(<-werr, err); err != nil {
		return err
	}
	if !bytes.Equal(got, p) {
		return fmt.Errorf("got %d bytes back, sent %d, or other ones", len(got), len(p))
	}
	return nil
}

func TestTCPEcho(t *testing.T) {
	_, g := network(t, Config{})
	for host, to := range map[string]netip.Addr{"127.0.0.1:0": gateway4, "[::1]:0": gateway6} {
		t.Run(to.String(), func(t *testing.T) {
			port := hostTCP(t, host, echoConn)
			c := g.dial(t, netip.AddrPortFrom(to, port))
			if err := roundTrip(c, []byte("hello")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTCPRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free := l.Addr().(*net.TCPAddr).AddrPort().Port()
	l.Close()
	_, g := network(t, Config{})
	for _, to := range []netip.AddrPort{
		gw(free), gw6(free),
		netip.AddrPortFrom(dns4, 80),                            // the resolver has port 53 only
		netip.AddrPortFrom(netip.MustParseAddr("10.0.2.9"), 80), // nobody
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		c, err := g.dialContext(ctx, to)
		cancel()
		if err == nil {
			c.Close()
			t.Errorf("%v: connected", to)
		} else if !strings.Contains(err.Error(), "refused") {
			t.Errorf("%v: %v, want refused", to, err)
		}
	}
}

func TestNoHostLoopback(t *testing.T) {
	port := hostTCP(t, "127.0.0.1:0", echoConn)
	_, g := network(t, Config{NoHostLoopback: true})
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if c, err := g.dialContext(ctx, gw(port)); err == nil {
		c.Close()
		t.Error("reached the host's loopback")
	}
}

// TestTCPHalfClose has each side end its sending first, and the other go on.
func TestTCPHalfClose(t *testing.T) {
	_, g := network(t, Config{})
	t.Run("guest first", func(t *testing.T) {
		port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) {
			all, _ := io.ReadAll(c) // until the guest's FIN
			time.Sleep(20 * time.Millisecond)
			fmt.Fprintf(c, "got %s", all)
		})
		c := g.dial(t, gw(port))
		c.Write([]byte("request"))
		c.CloseWrite()
		if got, err := io.ReadAll(c); err != nil || string(got) != "got request" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("host first", func(t *testing.T) {
		got := make(chan string, 1)
		port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) {
			c.Write([]byte("banner"))
			c.CloseWrite()
			all, _ := io.ReadAll(c)
			got <- string(all)
		})
		c := g.dial(t, gw(port))
		if b, err := io.ReadAll(c); err != nil || string(b) != "banner" {
			t.Fatalf("%q, %v", b, err)
		}
		c.Write([]byte("still here"))
		c.CloseWrite()
		if s := <-got; s != "still here" {
			t.Errorf("host got %q", s)
		}
	})
}

func TestTCPReset(t *testing.T) {
	_, g := network(t, Config{})
	t.Run("by host", func(t *testing.T) {
		port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 1))
			reset(c)
		})
		c := g.dial(t, gw(port))
		c.Write([]byte("x"))
		if _, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), "reset") {
			t.Errorf("%v, want a reset", err)
		}
	})
	t.Run("by guest", func(t *testing.T) {
		got := make(chan error, 1)
		port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) {
			c.Write([]byte("unread data makes close a reset"))
			_, err := io.ReadAll(c)
			got <- err
		})
		c := g.dial(t, gw(port))
		c.Read(make([]byte, 1))
		c.Close()
		if err := <-got; !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("%v, want a reset", err)
		}
	})
}

// TestBulk sends 64 MiB each way and compares checksums.
func TestBulk(t *testing.T) {
	const size = 64 << 20
	for _, bare := range []bool{false, true} {
		t.Run(fmt.Sprintf("bare=%v", bare), func(t *testing.T) {
			n, g := network(t, Config{Bare: bare, Forwards: []Forward{{"tcp", netip.MustParseAddrPort("127.0.0.1:0"), 80}}})
			hostSum := make(chan [32]byte, 1)
			serve := func(c io.ReadWriter) {
				h := sha256.New()
				io.Copy(h, c)
				hostSum <- [32]byte(h.Sum(nil))
				io.CopyN(c, rand.New(rand.NewSource(2)), size)
			}
			port := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) { serve(c) })
			l := g.listen(t, 80)
			go func() {
				if c, err := l.Accept(); err == nil {
					serve(c)
					c.Close()
				}
			}()
			client, err := net.Dial("tcp", n.Published()[0].String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			client.SetDeadline(time.Now().Add(30 * time.Second))
			for name, c := range map[string]interface {
				io.ReadWriter
				CloseWrite() error
			}{"out": g.dial(t, gw(port)), "published": client.(*net.TCPConn)} {
				began := time.Now()
				up, down := sha256.New(), sha256.New()
				io.CopyN(io.MultiWriter(c, up), rand.New(rand.NewSource(1)), size)
				c.CloseWrite()
				if sum := <-hostSum; !bytes.Equal(sum[:], up.Sum(nil)) {
					t.Errorf("%s: the far side's checksum of what was sent differs", name)
				}
				if _, err := io.Copy(down, c); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				want := sha256.New()
				io.CopyN(want, rand.New(rand.NewSource(2)), size)
				if !bytes.Equal(down.Sum(nil), want.Sum(nil)) {
					t.Errorf("%s: the checksum of what was received differs", name)
				}
				t.Logf("%s: 2 x 64 MiB in %v", name, time.Since(began))
			}
		})
	}
}

func TestParallel(t *testing.T) {
	n, g := network(t, Config{Forwards: []Forward{{"tcp", netip.MustParseAddrPort("127.0.0.1:0"), 80}}})
	port := hostTCP(t, "127.0.0.1:0", echoConn)
	l := g.listen(t, 80)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	for i := range 200 {
		msg := bytes.Repeat([]byte{byte(i)}, 1+i*1000)
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			c, err := g.dialContext(ctx, gw(port))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if err := roundTrip(c, msg); err != nil {
				t.Errorf("out %d: %v", i, err)
			}
		})
		wg.Go(func() {
			c, err := net.Dial("tcp", n.Published()[0].String())
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(20 * time.Second))
			if err := roundTrip(c.(*net.TCPConn), msg); err != nil {
				t.Errorf("in %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

func TestNewErrors(t *testing.T) {
	before := resources()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := l.Addr().(*net.TCPAddr).AddrPort()
	for want, cfg := range map[string]Config{
		"already in use":            {Forwards: []Forward{{"udp", netip.MustParseAddrPort("127.0.0.1:0"), 1}, {"tcp", taken, 80}}},
		"does not have the address": {Forwards: []Forward{{"tcp", netip.MustParseAddrPort("192.0.2.77:0"), 80}}},
		"give tcp or udp":           {Forwards: []Forward{{"sctp", taken, 80}}},
		"guest port":                {Forwards: []Forward{{"tcp", taken, 0}}},
		"mtu 100 ":                  {MTU: 100},
		"mtu 65535":                 {MTU: 65535},
	} {
		n, err := New(cfg)
		if err == nil {
			n.Close()
			t.Errorf("no error, want %q", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	l.Close()
	leftBehind(t, before)
}

// TestCloseBusy closes a network with everything in flight.
func TestCloseBusy(t *testing.T) {
	hostPort := hostTCP(t, "127.0.0.1:0", func(c *net.TCPConn) { io.Copy(io.Discard, c) })
	started := resources()
	n, err := New(Config{Forwards: []Forward{{"tcp", netip.AddrPort{}, 80}, {"udp", netip.MustParseAddrPort("127.0.0.1:0"), 53}}})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.Published()[0].Port()))
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, n, false)
	c := g.dial(t, gw(hostPort))
	go func() {
		for {
			if _, err := c.Write(make([]byte, 100000)); err != nil {
				return
			}
		}
	}()
	g.udp(t, 0, gw(9)).Write([]byte("x"))
	g.udp(t, 0, netip.AddrPortFrom(dns4, 53)).Write([]byte("x"))
	time.Sleep(20 * time.Millisecond)
	began := time.Now()
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > time.Second {
		t.Errorf("close took %v", d)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	waiting.SetDeadline(time.Now().Add(time.Second))
	if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) && err != io.EOF {
		t.Errorf("a waiting connection got %v", err)
	}
	waiting.Close()
	c.Close()
	g.close(t)
	leftBehind(t, started)
}
