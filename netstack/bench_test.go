package netstack

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// BenchmarkStart measures what the network adds to a boot.
func BenchmarkStart(b *testing.B) {
	for range b.N {
		b.StopTimer()
		c, err := netdevtest.New(netdevtest.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		s, err := New()
		if err == nil {
			err = s.Start(c.Device[0], params1+" gw=10.9.0.2 dns=10.9.0.3 hostname=bench")
		}
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.ip.Close()
		c.Close()
	}
}

// BenchmarkBulk measures one direction of one connection; the cable copies
// each byte twice, on cores of its own if there are.
func BenchmarkBulk(b *testing.B) {
	for _, bc := range []struct {
		name string
		o    netdevtest.Options
	}{
		{"tso", netdevtest.Options{}},
		{"csum, no tso", netdevtest.Options{Features: withoutOffload | abi.NetFMrgRxBuf | abi.NetFGuestCsum | abi.NetFCsum}},
		{"none", netdevtest.Options{Features: withoutOffload}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s1, s2, _ := newPair(b, bc.o)
			benchStream(b, s1, s2, host1)
		})
	}
	b.Run("loopback", func(b *testing.B) {
		s := newStack(b)
		benchStream(b, s, s, "127.0.0.1")
	})
}

func benchStream(b *testing.B, to, from *Stack, addr string) {
	const chunk = 64 << 10
	c1, c2, err := connPair(from, to, addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c1.Close()
	defer c2.Close()
	b.SetBytes(chunk)
	b.ReportAllocs()
	b.ResetTimer()
	go func() {
		buf := make([]byte, chunk)
		for range b.N {
			if _, err := c1.Write(buf); err != nil {
				return
			}
		}
		c1.CloseWrite()
	}()
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c2}, make([]byte, chunk)); err != nil || n != int64(b.N)*chunk {
		b.Fatalf("%d bytes, %v", n, err)
	}
}

// BenchmarkPingPong measures one byte there and back.
func BenchmarkPingPong(b *testing.B) {
	s1, s2, _ := newPair(b, netdevtest.Options{})
	c1, c2, err := connPair(s2, s1, host1)
	if err != nil {
		b.Fatal(err)
	}
	go io.Copy(struct{ io.Writer }{c2}, struct{ io.Reader }{c2})
	buf := make([]byte, 1)
	b.ReportAllocs()
	for b.Loop() {
		c1.Write(buf)
		if _, err := io.ReadFull(c1, buf); err != nil {
			b.Fatal(err)
		}
	}
	c1.Close()
	c2.Close()
}

// BenchmarkDatagrams measures UDP packets from one stack to another; lost ones
// count as well.
func BenchmarkDatagrams(b *testing.B) {
	s1, s2, _ := newPair(b, netdevtest.Options{})
	to, err := s1.listenPacket(host1 + ":53")
	if err != nil {
		b.Fatal(err)
	}
	defer to.Close()
	go func() {
		for buf := make([]byte, 2048); ; {
			if _, _, err := to.ReadFrom(buf); err != nil {
				return
			}
		}
	}()
	from, err := s2.listenPacket(host2 + ":0")
	if err != nil {
		b.Fatal(err)
	}
	defer from.Close()
	msg := make([]byte, 1000)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := from.WriteTo(msg, to.LocalAddr().(*net.UDPAddr)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnection measures connections made, used and closed, and what one
// that lingers in TIME-WAIT costs in memory.
func BenchmarkConnection(b *testing.B) {
	s := newStack(b)
	l, err := s.listen("127.0.0.1:80")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		c, err := s.dial("127.0.0.1:80")
		if err != nil {
			b.Fatal(err)
		}
		io.ReadAll(c)
		c.Close()
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(b.N), "heap-B/conn")
}
