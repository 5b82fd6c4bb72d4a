package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inNamespace runs f on a thread of its own in a new network namespace, which
// ends with the thread: nothing is left on the host.
func inNamespace(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot make a network namespace")
	}
	t.Run("netns", func(t *testing.T) {
		runtime.LockOSThread() // never unlocked: the thread dies with the subtest's goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Skipf("cannot make a network namespace: %v", err)
		}
		f(t)
	})
}

// makeTun makes a persistent device of the given kind.
func makeTun(t *testing.T, name string, flags uint16) {
	t.Helper()
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("cannot make a tap: %v", err)
	}
	defer unix.Close(fd)
	ifr, _ := unix.NewIfreq(name)
	ifr.SetUint16(flags | unix.IFF_NO_PI)
	check(t, unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr))
	check(t, unix.IoctlSetInt(fd, unix.TUNSETOWNER, 12345)) // only matters without capabilities
	check(t, unix.IoctlSetInt(fd, unix.TUNSETPERSIST, 1))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// configure sets the host's IPv4 address and brings the tap up.
func configure(t *testing.T, name string, p netip.Prefix) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(s)
	ifr, _ := unix.NewIfreq(name)
	check(t, ifr.SetInet4Addr(p.Addr().AsSlice()))
	check(t, unix.IoctlIfreq(s, unix.SIOCSIFADDR, ifr))
	check(t, ifr.SetInet4Addr(net.CIDRMask(p.Bits(), 32)))
	check(t, unix.IoctlIfreq(s, unix.SIOCSIFNETMASK, ifr))
	check(t, unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr))
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	check(t, unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr))
}

// configure6 adds an IPv6 address (struct in6_ifreq of linux/ipv6.h).
func configure6(t *testing.T, index int, p netip.Prefix) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer unix.Close(s)
	req := struct {
		addr      [16]byte
		prefixLen uint32
		index     int32
	}{p.Addr().As16(), uint32(p.Bits()), int32(index)}
	// SAFETY: req has in6_ifreq's layout and outlives the call.
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&req))); e != 0 {
		t.Fatal(e)
	}
}

func wantError(t *testing.T, err error, kind error, parts ...string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, kind) {
		t.Fatalf("got %v, want a %v", err, kind)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%q does not say %q", err, p)
		}
	}
}

func mustNotExist(t *testing.T, name string) {
	t.Helper()
	if _, err := net.InterfaceByName(name); err == nil {
		t.Errorf("interface %s was created", name)
	}
}

func TestOpenErrors(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		_, err := Open("tap7")
		wantError(t, err, ErrNotExist, "ip tuntap add dev tap7 mode tap", "ip link set tap7 up")
		mustNotExist(t, "tap7")
		for _, name := range []string{"", "a/b", "tap%d", "a b", "0123456789abcdef", "..", "a:1", "\x00"} {
			_, err := Open(name)
			wantError(t, err, ErrNotExist, "malformed")
		}
		_, err = Open("lo")
		wantError(t, err, ErrNotTap, `"lo"`)
		makeTun(t, "tun3", unix.IFF_TUN)
		_, err = Open("tun3")
		wantError(t, err, ErrNotTap, "tun interface")
		makeTun(t, "many", unix.IFF_TAP|unix.IFF_MULTI_QUEUE)
		_, err = Open("many")
		wantError(t, err, ErrNotTap, "multi_queue")

		makeTun(t, "tap8", unix.IFF_TAP)
		d, err := Open("tap8")
		check(t, err)
		_, err = Open("tap8")
		wantError(t, err, ErrBusy, "another process")
		time.AfterFunc(patience/5, func() { d.Close() })
		d2, err := Open("tap8") // still there, and soon free again
		check(t, err)
		check(t, d2.Close())
		check(t, d2.Close())
		d, err = Open("tap8")
		check(t, err)
		check(t, d.Close())
	})
}

func TestOpenNoDriver(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		makeTun(t, "tap8", unix.IFF_TAP)
		_, err := open(filepath.Join(t.TempDir(), "tun"), "tap8")
		wantError(t, err, ErrNoDriver, "modprobe tun")
	})
}

func TestOpenRace(t *testing.T) {
	// What Open does after its look-up, on a name that is gone by then.
	inNamespace(t, func(t *testing.T) {
		fd, err := openClone(clonePath, "tap9")
		if err != nil {
			t.Skip(err)
		}
		err = attach(fd, "tap9")
		wantError(t, err, ErrNotExist)
		unix.Close(fd)
		mustNotExist(t, "tap9")
	})
}

func dropCapabilities(t *testing.T) {
	t.Helper()
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	check(t, unix.Capset(&hdr, &none[0])) // of this thread only
}

func TestOpenPermission(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		makeTun(t, "tap8", unix.IFF_TAP)
		clone := filepath.Join(t.TempDir(), "tun")
		check(t, os.WriteFile(clone, nil, 0))
		dropCapabilities(t)
		_, err := Open("tap8")
		wantError(t, err, ErrPermission, "CAP_NET_ADMIN", "user $USER")
		_, err = open(clone, "tap8")
		wantError(t, err, ErrPermission, "chmod", clone)
	})
}

func TestInfo(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		makeTun(t, "tap8", unix.IFF_TAP)
		info, err := Lookup("tap8")
		check(t, err)
		if info.Up || len(info.Addrs) != 0 || info.MTU != 1500 || len(info.MAC) != 6 {
			t.Errorf("fresh tap: %+v", info)
		}
		if _, _, ok := info.Suggest(false); ok {
			t.Error("a guest address without a host address")
		}
		configure(t, "tap8", netip.MustParsePrefix("192.0.2.1/24"))
		configure6(t, info.Index, netip.MustParsePrefix("2001:db8::1/64"))
		d, err := Open("tap8")
		check(t, err)
		defer d.Close()
		info = d.Info()
		if !info.Up {
			t.Error("not up")
		}
		for ipv6, want := range map[bool]string{false: "192.0.2.2/24 192.0.2.1", true: "2001:db8::2/64 2001:db8::1"} {
			guest, gw, ok := info.Suggest(ipv6)
			if got := guest.String() + " " + gw.String(); !ok || got != want {
				t.Errorf("suggestion %q, want %q (of %v)", got, want, info.Addrs)
			}
		}
		if m := info.GuestMAC(); bytes.Equal(m, info.MAC) || m[0]&3 != 2 {
			t.Errorf("guest %v, host %v", m, info.MAC)
		}
	})
}

func TestNeighbour(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1/24": "10.0.0.2", "10.0.0.254/24": "10.0.0.253", "10.0.0.2/30": "10.0.0.1",
		"10.0.0.0/31": "10.0.0.1", "10.0.0.1/31": "10.0.0.0", "10.0.0.1/32": "",
		"255.255.255.254/24": "255.255.255.253", "fd00::1/64": "fd00::2", "fd00::1/128": "", "fd00::ffff/112": "fd00::fffe",
	} {
		got := ""
		if a, ok := neighbour(netip.MustParsePrefix(in)); ok {
			got = a.String()
		}
		if got != want {
			t.Errorf("neighbour of %s: %q, want %q", in, got, want)
		}
	}
}

// readFrame returns the next frame for which ok is true, and its header.
func readFrame(t *testing.T, fd int, ok func(frame []byte) bool) (hdr, frame []byte) {
	t.Helper()
	buf := make([]byte, 70000)
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN {
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
			continue
		}
		check(t, err)
		if n >= HeaderSize+14 && ok(buf[HeaderSize:n]) {
			return buf[:HeaderSize], buf[HeaderSize:n]
		}
	}
	t.Fatal("no such frame in 5 s")
	return nil, nil
}

func etherType(f []byte) uint16 { return binary.BigEndian.Uint16(f[12:]) }

// TestPackets answers the host's ARP request and takes a UDP datagram, whose
// checksum must be left to us: the offloads are on and the header is in place.
func TestPackets(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		makeTun(t, "tap8", unix.IFF_TAP)
		configure(t, "tap8", netip.MustParsePrefix("192.0.2.1/24"))
		d, err := Open("tap8")
		check(t, err)
		defer d.Close()
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		check(t, err)
		defer unix.Close(s)
		check(t, unix.Sendto(s, []byte("hello"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, 2}}))

		_, req := readFrame(t, d.FD(), func(f []byte) bool { return etherType(f) == 0x806 })
		mac := d.Info().GuestMAC()
		reply := make([]byte, HeaderSize, 64)
		reply = append(append(append(reply, req[6:12]...), mac...), 8, 6)
		reply = append(append(reply, req[14:20]...), 0, 2)
		reply = append(append(append(reply, mac...), 192, 0, 2, 2), req[22:32]...)
		_, err = unix.Write(d.FD(), reply)
		check(t, err)

		hdr, f := readFrame(t, d.FD(), func(f []byte) bool { return etherType(f) == 0x800 && f[23] == 17 })
		if !bytes.Equal(f[:6], mac) || !bytes.HasSuffix(f, []byte("hello")) {
			t.Errorf("frame %x", f)
		}
		if hdr[0]&1 == 0 || binary.LittleEndian.Uint16(hdr[6:]) != 34 || binary.LittleEndian.Uint16(hdr[8:]) != 6 {
			t.Errorf("virtio header %x: no partial checksum at 34+6", hdr)
		}
	})
}
