package netstack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// rib is syscall.NetlinkRIB on one of our sockets.
func rib(t *testing.T, s *Stack, typ, family int) []syscall.NetlinkMessage {
	t.Helper()
	k, e := s.Socket(afNetlink, sockRaw, netlinkRoute)
	if e != 0 {
		t.Fatalf("socket: errno %d", e)
	}
	defer k.Close()
	sa := make([]byte, sizeSockaddrNL)
	binary.NativeEndian.PutUint16(sa, afNetlink)
	if e := k.Bind(sa); e != 0 {
		t.Fatalf("bind: errno %d", e)
	}
	la, e := k.LocalAddr()
	if e != 0 {
		t.Fatalf("getsockname: errno %d", e)
	}
	req := make([]byte, 17)
	binary.NativeEndian.PutUint32(req, 17)
	binary.NativeEndian.PutUint16(req[4:], uint16(typ))
	binary.NativeEndian.PutUint16(req[6:], nlmFlagDump|nlmFlagRequest)
	binary.NativeEndian.PutUint32(req[8:], 1)
	req[16] = byte(family)
	if n, e := k.Send([][]byte{req}, nil, sa, 0); n != 17 || e != 0 {
		t.Fatalf("send: %d, errno %d", n, e)
	}
	var all []syscall.NetlinkMessage
	for {
		buf := make([]byte, 4096)
		r, e := k.Recv([][]byte{buf}, nil, 0)
		if e != 0 || r.N < nlmsgHeader || len(r.From) != sizeSockaddrNL {
			t.Fatalf("recv: %+v, errno %d", r, e)
		}
		msgs, err := syscall.ParseNetlinkMessage(buf[:r.N])
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range msgs {
			if m.Header.Seq != 1 || m.Header.Pid != binary.NativeEndian.Uint32(la[4:]) {
				t.Fatalf("message %+v", m.Header)
			}
			if m.Header.Type == nlmsgDone {
				return all
			}
			if m.Header.Type == nlmsgError {
				t.Fatalf("error %v", m.Data)
			}
			all = append(all, m)
		}
	}
}

func attrs(t *testing.T, m *syscall.NetlinkMessage) map[uint16][]byte {
	t.Helper()
	list, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		t.Fatal(err)
	}
	a := map[uint16][]byte{}
	for _, v := range list {
		a[v.Attr.Type] = v.Value
	}
	return a
}

func TestNetlinkLinks(t *testing.T) {
	s, _, _ := newPair(t, netdevtest.Options{})
	msgs := rib(t, s, rtmGetLink, 0)
	if len(msgs) != 2 {
		t.Fatalf("%d links, want 2", len(msgs))
	}
	for i, want := range []struct {
		name  string
		flags uint32
		mtu   uint32
	}{{"lo", iffUp | iffLoopback | iffRunning | iffLowerUp, 65536}, {"eth0", iffUp | iffBroadcast | iffMulticast | iffRunning | iffLowerUp, 1500}} {
		m := msgs[i]
		a := attrs(t, &m)
		flags := binary.NativeEndian.Uint32(m.Data[8:])
		if string(a[iflaIfname]) != want.name+"\x00" || flags != want.flags || binary.NativeEndian.Uint32(a[iflaMTU]) != want.mtu {
			t.Errorf("link %d: %q flags %#x mtu %v", i, a[iflaIfname], flags, a[iflaMTU])
		}
	}
	if a := attrs(t, &msgs[1]); !slices.Equal(a[iflaAddress], []byte{2, 0, 0, 0, 0, 1}) {
		t.Errorf("hardware address %x", a[iflaAddress])
	}
}

func TestNetlinkAddrs(t *testing.T) {
	s, _, _ := newPair(t, netdevtest.Options{})
	var got []string
	for _, m := range rib(t, s, rtmGetAddr, 0) {
		a := attrs(t, &m)
		ip, _ := netip.AddrFromSlice(a[ifaAddress])
		got = append(got, netip.PrefixFrom(ip, int(m.Data[1])).String())
	}
	slices.Sort(got)
	want := []string{"10.9.0.1/24", "127.0.0.1/8", "::1/128", "fd09::1/64", "fe80::ff:fe00:1/64"}
	if !slices.Equal(got, want) {
		t.Errorf("addresses %v, want %v", got, want)
	}
	if n := len(rib(t, s, rtmGetAddr, afInet)); n != 2 {
		t.Errorf("%d IPv4 addresses, want 2", n)
	}
}

func TestNetlinkRoutes(t *testing.T) {
	s := newStack(t)
	c, err := netdevtest.New(netdevtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Start(c.Device[0], params1+" gw=10.9.0.2"); err != nil {
		t.Fatal(err)
	}
	for _, m := range rib(t, s, rtmGetRoute, afInet) {
		if a := attrs(t, &m); m.Data[1] == 0 && slices.Equal(a[rtaGateway], []byte{10, 9, 0, 2}) {
			return
		}
	}
	t.Error("no default route")
}

func TestNetlinkErrors(t *testing.T) {
	s := newStack(t)
	if _, e := s.Socket(afNetlink, sockRaw, 9); e != libos.EPROTONOSUPPORT {
		t.Errorf("protocol 9: errno %d", e)
	}
	k, _ := s.Socket(afNetlink, sockRaw, 0)
	k.SetNonblock(true)
	if _, e := k.Read(make([]byte, 9)); e != libos.EAGAIN {
		t.Errorf("read: errno %d", e)
	}
	req := make([]byte, 16)
	req[0], req[4], req[6] = 16, 99, 1
	k.Write(req)
	buf := make([]byte, 64)
	n, e := k.Read(buf)
	if e != 0 || n != 36 || buf[4] != nlmsgError || int32(binary.NativeEndian.Uint32(buf[16:])) != -int32(libos.EOPNOTSUPP) {
		t.Errorf("answer to nonsense: %v, errno %d", buf[:n], e)
	}
}

func FuzzNetlink(f *testing.F) {
	req := make([]byte, 17)
	req[0], req[4], req[6], req[7] = 17, rtmGetAddr, 1, 3
	f.Add(req)
	s, err := New()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, _ := s.Socket(afNetlink, sockRaw, 0)
		defer k.Close()
		k.SetNonblock(true)
		k.Write(b)
		buf := make([]byte, 8192)
		for {
			n, e := k.Read(buf)
			if e != 0 {
				return
			}
			if _, err := syscall.ParseNetlinkMessage(buf[:n]); err != nil {
				t.Fatal(err)
			}
		}
	})
}
