package usernet

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// BenchmarkNew is part of the time that tailor run takes to start; the goal is
// under 2 ms with a published port.
func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		n, err := New(Config{Forwards: anyTCP})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		n.Close()
		b.StartTimer()
	}
}

// BenchmarkThroughput sends in 256 KiB writes over one connection; both stacks
// and the host's loopback share the machine.
func BenchmarkThroughput(b *testing.B) {
	for _, bare := range []bool{false, true} {
		cfg := Config{Bare: bare, Forwards: anyTCP}
		b.Run(fmt.Sprintf("fromGuest/bare=%v", bare), func(b *testing.B) {
			n := networkOnly(b, cfg)
			g := newGuest(b, n, true)
			port := hostTCP(b, "127.0.0.1:0", drain)
			c := g.dial(b, gw(port))
			pump(b, c, c)
		})
		b.Run(fmt.Sprintf("toGuest/bare=%v", bare), func(b *testing.B) {
			n := networkOnly(b, cfg)
			g := newGuest(b, n, true)
			l := g.listen(b, 80)
			go func() {
				c, err := l.Accept()
				if err == nil {
					drainAny(c)
					c.Close()
				}
			}()
			c := dialPublished(b, n)
			pump(b, c, c)
		})
	}
}

func drain(c *net.TCPConn) { drainAny(c) }

// drainAny reads to the end, without the library's splice, and says so.
func drainAny(c io.ReadWriter) {
	buf := make([]byte, 256<<10)
	for {
		if _, err := c.Read(buf); err != nil {
			break
		}
	}
	c.Write([]byte("."))
}

func pump(b *testing.B, w io.Writer, c interface {
	io.Reader
	CloseWrite() error
	SetDeadline(time.Time) error
}) {
	c.SetDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 256<<10)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.CloseWrite()
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkConnect makes and ends connections one after the other.
func BenchmarkConnect(b *testing.B) {
	b.Run("fromGuest", func(b *testing.B) {
		g := newGuest(b, networkOnly(b, Config{}), true)
		port := hostTCP(b, "127.0.0.1:0", echoConn)
		for b.Loop() {
			c, err := g.dialContext(context.Background(), gw(port))
			if err != nil {
				b.Fatal(err)
			}
			oneByte(b, c)
			c.Close()
		}
	})
	b.Run("published", func(b *testing.B) {
		n := networkOnly(b, Config{Forwards: anyTCP})
		echoServer(b, newGuest(b, n, true))
		for b.Loop() {
			c, err := net.Dial("tcp", n.Published()[0].String())
			if err != nil {
				b.Fatal(err)
			}
			oneByte(b, c)
			c.Close()
		}
	})
}

// BenchmarkRoundTrip is one byte there and back on a connection that is open.
func BenchmarkRoundTrip(b *testing.B) {
	n := networkOnly(b, Config{Forwards: anyTCP})
	echoServer(b, newGuest(b, n, true))
	c := dialPublished(b, n)
	for b.Loop() {
		oneByte(b, c)
	}
}

func oneByte(b *testing.B, c net.Conn) {
	b.Helper()
	p := []byte{1}
	if _, err := c.Write(p); err != nil {
		b.Fatal(err)
	}
	if _, err := io.ReadFull(c, p); err != nil {
		b.Fatal(err)
	}
}
