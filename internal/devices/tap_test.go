package devices

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/tap"
	"github.com/tailor-os/tailor/virtio"
)

// experimental is the EtherType for local experiments, IEEE 802 section 9.2.4:
// the tests' own frames among those that the host's stack sends.
const experimental = 0x88b5

// A link is a tap in a network namespace of its own, with a socket that stands
// for the host.
type link struct {
	t      testing.TB
	dev    int // tap, for the guest
	host   int // AF_PACKET socket
	config int // any socket, for ioctls
}

// newLink makes a link; it vanishes with the calling test, which must run in a
// goroutine of its own.
func newLink(t testing.TB) *link {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot make a network namespace")
	}
	runtime.LockOSThread() // not unlocked: the thread and its namespace end with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	l := &link{t: t}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("cannot make a tap: %v", err)
	}
	ifr, _ := unix.NewIfreq("tap0")
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	l.check(unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr))
	l.check(unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
	unix.Close(fd)
	d, err := tap.Open("tap0")
	l.check(err)
	t.Cleanup(func() { d.Close() })
	l.dev = d.FD()
	const all = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
	l.host, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
	l.check(err)
	l.config, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	l.check(err)
	t.Cleanup(func() { unix.Close(l.host); unix.Close(l.config) })
	l.up(true)
	nif, err := net.InterfaceByName("tap0")
	l.check(err)
	l.check(unix.Bind(l.host, &unix.SockaddrLinklayer{Protocol: all, Ifindex: nif.Index}))
	return l
}

func (l *link) check(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// up switches the interface on or off.
func (l *link) up(on bool) {
	ifr, _ := unix.NewIfreq("tap0")
	l.check(unix.IoctlIfreq(l.config, unix.SIOCGIFFLAGS, ifr))
	flags := ifr.Uint16() &^ unix.IFF_UP
	if on {
		flags |= unix.IFF_UP
	}
	ifr.SetUint16(flags)
	l.check(unix.IoctlIfreq(l.config, unix.SIOCSIFFLAGS, ifr))
}

// frame makes a frame of the tests' own, behind a zero virtio header.
func frame(size int, seed byte) []byte {
	p := packet(size, seed)
	copy(p[virtio.NetHdrLen:], "\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02")
	binary.BigEndian.PutUint16(p[virtio.NetHdrLen+12:], experimental)
	return p
}

func ours(eth []byte) bool {
	return len(eth) > 14 && binary.BigEndian.Uint16(eth[12:]) == experimental
}

// hostReads returns the next frame of ours that the host gets.
func (l *link) hostReads() []byte {
	for {
		if p := readPeer(l.t, l.host); ours(p) {
			return p
		}
	}
}

// guestReads returns the next frame of ours that the guest gets.
func guestReads(n *nic) []byte {
	for {
		parts, _ := n.recvWait()
		if p := bytes.Join(parts, nil)[virtio.NetHdrLen:]; ours(p) {
			return p
		}
	}
}

func TestNetTap(t *testing.T) {
	leaks(t)
	t.Run("netns", func(t *testing.T) {
		l := newLink(t)
		n := newNIC(t, l.dev, 64, 4096, 2048)
		sendFrame := func(p []byte) {
			i, b := n.slot()
			copy(b, p)
			n.send(i, len(p))
			n.tx.Publish()
		}
		for i := range 50 {
			p := frame(100+i*20, byte(i))
			sendFrame(p)
			if got := l.hostReads(); !bytes.Equal(got, p[virtio.NetHdrLen:]) {
				t.Fatalf("frame %d to the host: %d bytes", i, len(got))
			}
			writePeer(t, l.host, p[virtio.NetHdrLen:])
			if got := guestReads(n); !bytes.Equal(got, p[virtio.NetHdrLen:]) {
				t.Fatalf("frame %d to the guest: %d bytes", i, len(got))
			}
		}
		n.settle() // a packet is counted after it is written
		if s := n.net.Stats(); s.TxDropped+s.RxDropped != 0 || s.TxPackets != 50 {
			t.Errorf("%+v", s)
		}
		l.up(false)
		before := n.net.Stats().TxDropped
		n.sendMany(20, 100)
		if s := n.net.Stats(); s.TxDropped != before+20 {
			t.Errorf("interface down: %+v", s)
		}
		sleeps := n.net.Stats().Sleeps
		n.bus.Idle(20 * time.Millisecond)
		if d := n.net.Stats().Sleeps - sleeps; d > 10 {
			t.Errorf("interface down: %d wake-ups in 20 ms", d)
		}
		l.up(true)
		_, err := unix.GetsockoptInt(l.host, unix.SOL_SOCKET, unix.SO_ERROR) // takes the socket's ENETDOWN
		l.check(err)
		p := frame(300, 7)
		sendFrame(p)
		if got := l.hostReads(); !bytes.Equal(got, p[virtio.NetHdrLen:]) {
			t.Errorf("up again: %d bytes", len(got))
		}
		writePeer(t, l.host, p[virtio.NetHdrLen:])
		if got := guestReads(n); !bytes.Equal(got, p[virtio.NetHdrLen:]) {
			t.Errorf("up again: guest got %d bytes", len(got))
		}
	})
}

// TestEventGoesToOneThread: while the vCPU thread is parked, packets do not
// wake the I/O thread; while it is not, they do. This is what EPOLLEXCLUSIVE
// and the order of registration are for.
func TestEventGoesToOneThread(t *testing.T) {
	leaks(t)
	t.Run("netns", func(t *testing.T) {
		l := newLink(t)
		n := newNIC(t, l.dev, 64, 4096, 2048)
		time.Sleep(20 * time.Millisecond)
		for n.net.Stats().RxPackets > 0 && n.rx.Pending() { // what the host says when the tap comes up
			n.recv()
		}
		p := frame(100, 1)[virtio.NetHdrLen:]
		before := n.net.Stats()
		const total = 50
		go func() {
			for range total {
				time.Sleep(300 * time.Microsecond)
				unix.Write(l.host, p)
			}
		}()
		for range total {
			guestReads(n)
		}
		after := n.net.Stats()
		if d := after.Sleeps - before.Sleeps; d > total/4 {
			t.Errorf("guest parked: the I/O thread woke %d times for %d packets", d, total)
		}
		unix.Write(l.host, p)
		for end := time.Now().Add(5 * time.Second); n.net.Stats().RxPackets == after.RxPackets; {
			if time.Now().After(end) {
				t.Fatal("guest busy: nobody receives")
			}
			time.Sleep(time.Millisecond)
		}
	})
}
