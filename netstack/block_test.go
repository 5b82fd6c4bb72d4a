package netstack

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// TestBlocking covers the calls of sockets in blocking mode, as programs make
// them that use package syscall: each parks until it has its answer.
func TestBlocking(t *testing.T) {
	a, b, cable := newPair(t, netdevtest.Options{})
	l, _ := a.Socket(afInet, sockStream, 0)
	l.Bind(at(host1, 0))
	l.Listen(1)
	accepted := make(chan libos.Socket)
	go func() {
		s, _, e := l.Accept()
		if e != 0 {
			t.Errorf("accept: errno %d", e)
		}
		accepted <- s
	}()
	time.Sleep(10 * time.Millisecond)
	c, _ := b.Socket(afInet, sockStream, 0)
	defer c.Close()
	if e := c.Connect(at(host1, port(t, l))); e != 0 {
		t.Fatalf("connect: errno %d; %s", e, cable)
	}
	if e := c.Connect(at(host1, port(t, l))); e != libos.EISCONN {
		t.Errorf("connect again: errno %d", e)
	}
	s := <-accepted
	defer s.Close()
	blockingRead(t, c, s)
	blockingWrite(t, c, s)
	blockingTimeout(t, c)
	refused, _ := b.Socket(afInet, sockStream, 0)
	if e := refused.Connect(at(host1, 9)); e != libos.ECONNREFUSED {
		t.Errorf("connect to nobody: errno %d", e)
	}
}

// blockingRead reads what comes later, and with MSG_WAITALL in pieces.
func blockingRead(t *testing.T, c, s libos.Socket) {
	go func() {
		for _, m := range []string{"hello", "ab", "cd", "ef"} {
			time.Sleep(10 * time.Millisecond)
			c.Write([]byte(m))
		}
	}()
	buf := make([]byte, 5)
	if n, e := s.Read(buf); n != 5 || e != 0 || string(buf) != "hello" {
		t.Errorf("read %q, errno %d", buf[:n], e)
	}
	x, y := make([]byte, 3), make([]byte, 3)
	if r, e := s.Recv([][]byte{x, y}, nil, msgWaitall); r.N != 6 || e != 0 || string(x)+string(y) != "abcdef" {
		t.Errorf("MSG_WAITALL: %d %q %q, errno %d", r.N, x, y, e)
	}
	if _, e := s.Recv([][]byte{x}, nil, msgDontwait); e != libos.EAGAIN {
		t.Errorf("MSG_DONTWAIT: errno %d", e)
	}
}

// blockingWrite writes more than all buffers take.
func blockingWrite(t *testing.T, c, s libos.Socket) {
	const size = 16 << 20
	got := make(chan int)
	go func() {
		n, buf := 0, make([]byte, 64<<10)
		for n < size {
			k, e := s.Read(buf)
			if e != 0 || k == 0 {
				t.Errorf("read %d, errno %d", k, e)
				break
			}
			n += k
		}
		got <- n
	}()
	big := make([]byte, size/2)
	if n, e := c.Write(big); n != len(big) || e != 0 {
		t.Errorf("write %d, errno %d", n, e)
	}
	if n, e := c.Send([][]byte{big[:1], big[1:]}, nil, nil, 0); n != len(big) || e != 0 {
		t.Errorf("send %d, errno %d", n, e)
	}
	if n := <-got; n != size {
		t.Errorf("%d bytes arrived", n)
	}
}

func blockingTimeout(t *testing.T, c libos.Socket) {
	tv := make([]byte, 16)
	binary.NativeEndian.PutUint64(tv[8:], 20000)
	c.SetOption(solSocket, soRcvtimeo, tv)
	start := time.Now()
	if _, e := c.Read(tv); e != libos.EAGAIN || time.Since(start) < 15*time.Millisecond {
		t.Errorf("SO_RCVTIMEO: errno %d after %v", e, time.Since(start))
	}
}

// TestLinger covers close with SO_LINGER and a time: it waits for the peer.
func TestLinger(t *testing.T) {
	a, b, _ := newPair(t, netdevtest.Options{})
	c1, c2, err := connPair(b, a, host1)
	if err != nil {
		t.Fatal(err)
	}
	defer c2.Close()
	c1.s.SetOption(solSocket, soLinger, []byte{1, 0, 0, 0, 1, 0, 0, 0})
	c1.Write([]byte("x"))
	start := time.Now()
	c1.Close()
	if d := time.Since(start); d > 1500*time.Millisecond {
		t.Errorf("close took %v", d)
	}
}
