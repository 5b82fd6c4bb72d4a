package netstack

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"golang.org/x/net/nettest"
)

// The addresses of the two stacks of a pair.
const (
	host1, host2   = "10.9.0.1", "10.9.0.2"
	host1v6        = "fd09::1"
	params1        = "ip=10.9.0.1/24 ip6=fd09::1/64"
	params2        = "ip=10.9.0.2/24 ip6=fd09::2/64"
	withoutOffload = abi.NetFMAC | abi.NetFMTU | abi.FVersion1 | abi.FEventIdx
)

func newStack(t testing.TB) *Stack {
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.ip.Close)
	return s
}

// newPair returns two stacks joined by a cable.
func newPair(t testing.TB, o netdevtest.Options) (*Stack, *Stack, *netdevtest.Cable) {
	c, err := netdevtest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	a, b := newStack(t), newStack(t)
	if err := a.Start(c.Device[0], params1); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(c.Device[1], params2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := c.Err(); err != nil {
			t.Errorf("a packet left as it must not: %v", err)
		}
	})
	return a, b, c
}

// connPair connects two stacks, or one with itself.
func connPair(from, to *Stack, addr string) (*testConn, *testConn, error) {
	l, err := to.listen(net.JoinHostPort(addr, "0"))
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	type result struct {
		c   net.Conn
		err error
	}
	accepted := make(chan result, 1)
	go func() {
		c, err := l.Accept()
		accepted <- result{c, err}
	}()
	c, err := from.dial(l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	r := <-accepted
	if r.err != nil {
		return nil, nil, r.err
	}
	return c, r.c.(*testConn), nil
}

func TestConnLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		t.Run(addr, func(t *testing.T) {
			s := newStack(t)
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				c1, c2, err := connPair(s, s, addr)
				return c1, c2, func() { c1.Close(); c2.Close() }, err
			})
		})
	}
}

func TestConnCable(t *testing.T) {
	for _, addr := range []string{host1, host1v6} {
		t.Run(addr, func(t *testing.T) {
			a, b, _ := newPair(t, netdevtest.Options{})
			nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
				c1, c2, err := connPair(b, a, addr)
				return c1, c2, func() { c1.Close(); c2.Close() }, err
			})
		})
	}
}

// transfer sends n bytes and compares checksums at the ends.
func transfer(from, to *testConn, n int) error {
	sent := sha256.New()
	done := make(chan error, 1)
	go func() {
		rng := rand.NewChaCha8([32]byte{1})
		_, err := io.CopyBuffer(io.MultiWriter(from, sent), io.LimitReader(struct{ io.Reader }{rng}, int64(n)), make([]byte, 60<<10))
		if err == nil {
			err = from.CloseWrite()
		}
		done <- err
	}()
	got := sha256.New()
	m, err := io.CopyBuffer(got, struct{ io.Reader }{to}, make([]byte, 60<<10))
	if err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	if m != int64(n) || string(got.Sum(nil)) != string(sent.Sum(nil)) {
		return fmt.Errorf("%d bytes of %d, or not the same", m, n)
	}
	return nil
}

func TestBulk(t *testing.T) {
	n := 64 << 20
	if testing.Short() {
		n = 8 << 20
	}
	for _, tc := range []struct {
		name string
		o    netdevtest.Options
		addr string
		n    int
	}{
		{"tso4", netdevtest.Options{}, host1, n},
		{"tso6", netdevtest.Options{}, host1v6, n},
		{"no offload", netdevtest.Options{Features: withoutOffload}, host1, n},
		{"no merge", netdevtest.Options{Features: netdevtest.AllFeatures &^ abi.NetFMrgRxBuf}, host1, n},
		{"tiny rings", netdevtest.Options{QueueSize: 64}, host1, n / 4},
		{"loss", netdevtest.Options{Loss: 0.005, Reorder: 0.02, Seed: 1, Features: withoutOffload}, host1, n / 16},
		{"loss tso", netdevtest.Options{Loss: 0.02, Reorder: 0.02, Seed: 2}, host1, n / 8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, b, cable := newPair(t, tc.o)
			c1, c2, err := connPair(b, a, tc.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c1.Close()
			defer c2.Close()
			start := time.Now()
			var wg sync.WaitGroup
			errs := make([]error, 2)
			wg.Go(func() { errs[0] = transfer(c1, c2, tc.n) })
			wg.Go(func() { errs[1] = transfer(c2, c1, tc.n) })
			wg.Wait()
			for _, err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			s := &cable.Stats[1]
			t.Logf("%v: %d packets, %d of them to be segmented, %d dropped, %d kicks",
				time.Since(start).Round(time.Millisecond), s.Packets.Load(), s.Segmented.Load(), s.Dropped.Load(), s.Kicks.Load())
		})
	}
}

func TestManyConnections(t *testing.T) {
	a, b, _ := newPair(t, netdevtest.Options{})
	l, err := a.listen(host1 + ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			if err := echo(b, host1+":80", i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func echo(s *Stack, addr string, i int) error {
	c, err := s.dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	for j := range 20 {
		msg := fmt.Appendf(nil, "%d.%d %0*d", i, j, i*j, 0)
		if _, err := c.Write(msg); err != nil {
			return err
		}
		got := make([]byte, len(msg))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if string(got) != string(msg) {
			return fmt.Errorf("connection %d got %q for %q", i, got, msg)
		}
	}
	return nil
}
