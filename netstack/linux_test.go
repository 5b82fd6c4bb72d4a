package netstack

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/libos"
)

// This file runs the same scripts on our sockets and on those of the kernel
// below, and compares what they answer, call by call.

// A script is one run of a scenario; its transcript is what is compared.
type script struct {
	testing.TB
	socket func(domain, typ, proto int) (libos.Socket, libos.Errno)
	lines  []string
	ours   bool
}

func (x *script) logf(format string, a ...any) {
	x.lines = append(x.lines, fmt.Sprintf(format, a...))
}

// open makes a non-blocking socket that is closed at the end.
func (x *script) open(domain, typ, proto int) libos.Socket {
	x.Helper()
	s, e := x.socket(domain, typ, proto)
	if e != 0 {
		x.Fatalf("socket(%d, %d, %d): errno %d", domain, typ, proto, e)
	}
	s.SetNonblock(true)
	x.Cleanup(func() { s.Close() })
	return s
}

// port returns the local port.
func port(t testing.TB, s libos.Socket) uint16 {
	t.Helper()
	sa, e := s.LocalAddr()
	if e != 0 {
		t.Fatalf("getsockname: errno %d", e)
	}
	return binary.BigEndian.Uint16(sa[2:])
}

func at(ip string, port uint16) []byte {
	ap := netip.AddrPortFrom(netip.MustParseAddr(ip), port)
	return sockaddr(familyOf(ap), ap)
}

// at6 encodes for an AF_INET6 socket, mapped if need be.
func at6(ip string, port uint16) []byte {
	return sockaddr(afInet6, netip.AddrPortFrom(netip.MustParseAddr(ip), port))
}

// addr logs an address with its port only told from zero.
func (x *script) addr(what string, sa []byte, e libos.Errno) {
	if e != 0 {
		x.logf("%s: errno %d", what, e)
		return
	}
	ap := addrPort(sa)
	x.logf("%s: %d bytes, %v, port %v", what, len(sa), ap.Addr(), ap.Port() != 0)
}

// listener returns a listening TCP socket.
func (x *script) listener(ip string) libos.Socket {
	x.Helper()
	s := x.open(familyOf(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)), sockStream, 0)
	if e := s.Bind(at(ip, 0)); e != 0 {
		x.Fatalf("bind: errno %d", e)
	}
	if e := s.Listen(8); e != 0 {
		x.Fatalf("listen: errno %d", e)
	}
	return s
}

// connected returns both ends of a TCP connection.
func (x *script) connected() (client, server libos.Socket) {
	x.Helper()
	l := x.listener("127.0.0.1")
	client = x.open(afInet, sockStream, 0)
	if e := client.Connect(at("127.0.0.1", port(x, l))); e != libos.EINPROGRESS && e != 0 {
		x.Fatalf("connect: errno %d", e)
	}
	waitReady(x, client, libos.ReadyOut)
	waitReady(x, l, libos.ReadyIn)
	server, _, e := l.Accept()
	if e != 0 {
		x.Fatalf("accept: errno %d", e)
	}
	server.SetNonblock(true)
	x.Cleanup(func() { server.Close() })
	l.Close()
	return client, server
}

func (x *script) get(s libos.Socket, level, name int) {
	v := make([]byte, 4)
	n, e := s.GetOption(level, name, v)
	if e != 0 {
		n = 0
	}
	x.logf("get %d/%d: %v errno %d", level, name, v[:n], e)
}

func (x *script) set(s libos.Socket, level, name, v int) {
	e := s.SetOption(level, name, binary.NativeEndian.AppendUint32(nil, uint32(v)))
	x.logf("set %d/%d to %d: errno %d", level, name, v, e)
	x.get(s, level, name)
}

func (x *script) read(what string, s libos.Socket) {
	b := make([]byte, 64)
	n, e := s.Read(b)
	x.logf("%s reads %q errno %d", what, b[:max(n, 0)], e)
}

func (x *script) write(what string, s libos.Socket, msg string) {
	n, e := s.Write([]byte(msg))
	x.logf("%s writes %d errno %d", what, n, e)
}

// deadPort returns a port of 127.0.0.1 that nobody listens on.
func (x *script) deadPort(typ int) uint16 {
	s := x.open(afInet, typ, 0)
	s.Bind(at("127.0.0.1", 0))
	p := port(x, s)
	s.Close()
	return p
}

// control receives a message and logs its control messages.
func (x *script) control(s libos.Socket, room int) {
	oob := make([]byte, room)
	r, e := s.Recv([][]byte{make([]byte, 8)}, oob, 0)
	x.logf("%d bytes errno %d, flags %#x, %d of ancillary data", r.N, e, r.Flags, r.OOBN)
	var msgs []string
	for b := oob[:r.OOBN]; len(b) >= cmsgHeader; {
		n := min(int(binary.NativeEndian.Uint64(b)), len(b))
		msgs = append(msgs, fmt.Sprintf("%d/%d %v", getInt32(b[8:]), getInt32(b[12:]), b[cmsgHeader:n]))
		b = b[min((n+7)&^7, len(b)):]
	}
	if room >= 100 { // in full; the order is nobody's promise
		x.logf("%v", sorted(msgs))
	}
}

// cmsg builds one control message.
func cmsg(level, typ int, data []byte) []byte {
	b := make([]byte, 64)
	w := cmsgWriter{buf: b}
	w.add(level, typ, data)
	return b[:w.n]
}

func sorted(s []string) []string {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

// compare runs a script on both and returns how their answers differ.
func compare(t *testing.T, run func(*script)) (diff []string) {
	ours := &script{TB: t, socket: newStack(t).Socket, ours: true}
	host := &script{TB: t, socket: hostNew}
	run(host)
	run(ours)
	line := func(x *script, i int) string {
		if i < len(x.lines) {
			return x.lines[i]
		}
		return "(nothing)"
	}
	for i := range max(len(host.lines), len(ours.lines)) {
		if want, got := line(host, i), line(ours, i); want != got {
			diff = append(diff, fmt.Sprintf("call %d:\n Linux: %s\n ours:  %s", i, want, got))
		}
	}
	return diff
}

// TestLikeLinux runs each script up to three times: ports and timing of the
// kernel are shared with whatever else this machine does.
func TestLikeLinux(t *testing.T) {
	scripts := maps.Clone(tcpScripts)
	maps.Copy(scripts, udpScripts)
	for name, run := range scripts {
		t.Run(name, func(t *testing.T) {
			var diff []string
			for range 3 {
				if diff = compare(t, run); diff == nil {
					return
				}
			}
			t.Error(strings.Join(diff, "\n"))
		})
	}
}
