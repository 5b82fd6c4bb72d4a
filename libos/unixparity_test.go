package libos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSocketParity runs random sequences of calls on sockets of AF_UNIX, all
// non-blocking, against Linux and libos.
func TestSocketParity(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("libos has user 0 only: run as root to compare with Linux")
	}
	if *socketSeed != 0 {
		socketParity(t, *socketSeed, 2000)
		return
	}
	base := uint64(time.Now().UnixNano())
	end := time.Now().Add(3 * time.Second)
	n := 0
	for ; time.Now().Before(end) && !t.Failed(); n++ {
		socketParity(t, base+uint64(n), 600)
	}
	t.Logf("%d sequences of 600 calls, %d %% of the calls succeed", n, 100*socketSuccesses/max(600*n, 1))
	if !t.Failed() && socketSuccesses < 600*n/5 {
		t.Error("too few calls succeed: the sequences test little but errors")
	}
}

var (
	socketSeed      = flag.Uint64("socket.seed", 0, "run one socket parity sequence with this seed")
	socketSuccesses int
)

const socketSlots = 9

// A socketScript makes random steps. Names are below a directory of each side's
// own, or abstract with a prefix of their own.
type socketScript struct {
	*rand.Rand
	dirs [2]string
	seed uint64
}

// address returns an address for each side, of the same length for both.
func (s *socketScript) address() (a [2][]byte) {
	kind, i, family := s.IntN(12), s.IntN(4), byte(s.IntN(3))
	for side := range a {
		switch {
		case kind < 6:
			a[side] = append([]byte{afUnix, 0}, s.dirs[side]+"/s"+string(rune('0'+i))...)
		case kind < 10:
			a[side] = append([]byte{afUnix, 0, 0}, fmt.Sprintf("tailor-parity-%d-%d-%d", os.Getpid(), s.seed, i)...)
		case kind < 11:
			a[side] = append([]byte{afUnix, 0}, s.dirs[side]+"/none/x"...)
		default:
			a[side] = []byte{family, 0}
		}
	}
	return a
}

// A socketStep is one call, told apart by sides only in its address.
type socketStep struct {
	what  string
	slot  int
	other int
	n     int
	flags int
	fds   []int
	addr  [2][]byte
}

func (s *socketScript) step() socketStep {
	st := socketStep{slot: s.IntN(socketSlots), other: s.IntN(socketSlots)}
	st.what = []string{"socket", "socket", "pair", "pair", "bind", "bind", "listen", "connect", "connect", "connect", "accept", "accept",
		"send", "send", "send", "send", "recv", "recv", "recv", "recv", "shutdown", "close", "name", "peer", "poll", "option", "sendto", "passcred", "unread"}[s.IntN(29)]
	st.n = []int{0, 1, 5, 100, 3000, 70000}[s.IntN(6)]
	switch st.what {
	case "socket", "pair":
		st.n = []int{sockStream, sockStream, sockDgram, sockSeqpacket}[s.IntN(4)]
	case "bind", "connect", "sendto":
		st.addr = s.address()
	case "listen":
		st.n = s.IntN(3)
	case "shutdown":
		st.n = s.IntN(3)
	case "option":
		st.n = []int{soType, soError, soDomain, soProtocol, soAcceptconn, soPasscred, soPeercred, soSndbuf, 200}[s.IntN(9)]
	case "recv":
		st.flags = []int{0, 0, 0, msgPeek, msgTrunc, msgWaitAll, msgCmsgCloexec}[s.IntN(7)]
		st.other = []int{0, 12, 20, 24, 40, 64, 200}[s.IntN(7)] // room for ancillary data
	}
	if st.what == "send" && s.IntN(3) == 0 {
		for range 1 + s.IntN(2) {
			// A device, seldom no descriptor. Sockets that travel through each other
			// are collected by Linux at a time of its own.
			st.fds = append(st.fds, socketSlots+min(1, s.IntN(6)/5))
		}
	}
	return st
}

// do carries out a step and returns all that can be compared.
func (x *side) do(s socketStep, which int) (r uintptr, errno Errno, out string) {
	fd := x.fds[s.slot]
	call := func(num uintptr, a ...uintptr) {
		var all [6]uintptr
		copy(all[:], a)
		r, errno = x.enter(num, &all)
	}
	keep := func(slot int, fd uintptr) {
		if x.fds[slot] != ^uintptr(0) {
			x.enter(nr_close, &[6]uintptr{x.fds[slot]})
		}
		x.fds[slot] = fd
	}
	addr := append([]byte(nil), s.addr[which]...)
	buf := make([]byte, s.n+1)
	for i := range buf {
		buf[i] = byte(i*7 + s.n)
	}
	switch s.what {
	case "socket":
		if call(nr_socket, afUnix, uintptr(s.n)|sockNonbl|sockCloexec, 0); errno == 0 {
			keep(s.slot, r)
			r = 0
		}
	case "pair":
		var p [2]int32
		if call(nr_socketpair, afUnix, uintptr(s.n)|sockNonbl, 0, ptr(&p)); errno == 0 {
			keep(s.slot, uintptr(p[0]))
			keep(s.other, uintptr(p[1]))
		}
	case "bind":
		call(nr_bind, fd, ptr(&addr[0]), uintptr(len(addr)))
		if errno == 0 && len(addr) == 2 { // an automatic name: known to be different
			call(nr_close, fd)
			x.fds[s.slot] = ^uintptr(0)
		}
	case "listen":
		call(nr_listen, fd, uintptr(s.n))
	case "connect":
		call(nr_connect, fd, ptr(&addr[0]), uintptr(len(addr)))
	case "accept":
		name, n := [128]byte{}, int32(128)
		if call(nr_accept4, fd, ptr(&name), ptr(&n), sockNonbl); errno == 0 {
			keep(s.other, r)
			r, out = 0, x.nameOf(name[:n], which)
		}
	case "send", "sendto":
		r, errno = x.sendMessage(s, fd, buf[:s.n], addr)
	case "recv":
		r, errno, out = x.recvMessage(s, fd, which)
	case "shutdown":
		call(nr_shutdown, fd, uintptr(s.n))
	case "close":
		call(nr_close, fd)
		x.fds[s.slot] = ^uintptr(0)
	case "name", "peer":
		name, n := [128]byte{}, int32(128)
		num := uintptr(nr_getsockname)
		if s.what == "peer" {
			num = nr_getpeername
		}
		if call(num, fd, ptr(&name), ptr(&n)); errno == 0 {
			out = x.nameOf(name[:n], which)
		}
	case "poll":
		p := pollFD{fd: int32(fd), events: 0x5}
		call(nr_poll, ptr(&p), 1, 0)
		out = fmt.Sprintf("%#x", p.revents)
	case "option":
		v, n := [16]byte{}, int32(16)
		call(nr_getsockopt, fd, solSocket, uintptr(s.n), ptr(&v), ptr(&n))
		if s.n == soPeercred && errno == 0 && getUint32(v[:]) != 0 {
			putUint32(v[:], 1)
		}
		out = fmt.Sprint(v, n)
	case "passcred":
		on := int32(s.n & 1)
		call(nr_setsockopt, fd, solSocket, soPasscred, ptr(&on), 4)
	case "unread":
		n := int32(-1)
		call(nr_ioctl, fd, ioFIONREAD, ptr(&n))
		out = fmt.Sprint(n)
	}
	return r, errno, out
}

// nameOf makes an address comparable.
func (x *side) nameOf(b []byte, which int) string {
	s := strings.ReplaceAll(string(b), []string{linuxSocketDir, libosSocketDir}[which], "DIR")
	if len(b) == 8 && b[2] == 0 {
		return "automatic"
	}
	return fmt.Sprintf("%q", s)
}

var linuxSocketDir, libosSocketDir string

func (x *side) sendMessage(s socketStep, fd uintptr, data, addr []byte) (uintptr, Errno) {
	iov := syscall.Iovec{Len: uint64(len(data))}
	if len(data) > 0 {
		iov.Base = &data[0]
	}
	h := syscall.Msghdr{Iov: &iov, Iovlen: 1}
	if len(addr) > 0 {
		h.Name, h.Namelen = &addr[0], uint32(len(addr))
	}
	if len(s.fds) > 0 {
		b := make([]byte, cmsgHead+8)
		putUint64(b, uint64(cmsgHead+4*len(s.fds)))
		putUint32(b[8:], solSocket)
		putUint32(b[12:], scmRights)
		for i, slot := range s.fds {
			putUint32(b[cmsgHead+4*i:], uint32(x.fds[slot]))
		}
		h.Control, h.Controllen = &b[0], uint64(len(b))
		if len(s.fds) == 1 {
			h.Controllen = cmsgHead + 4
		}
	}
	return x.enter(nr_sendmsg, &[6]uintptr{fd, ptr(&h), msgNoSignal})
}

func (x *side) recvMessage(s socketStep, fd uintptr, which int) (r uintptr, errno Errno, out string) {
	data, oob, name := make([]byte, s.n+1), make([]byte, s.other+1), make([]byte, 128)
	iov := syscall.Iovec{Base: &data[0], Len: uint64(s.n)}
	h := syscall.Msghdr{Iov: &iov, Iovlen: 1, Control: &oob[0], Controllen: uint64(s.other), Name: &name[0], Namelen: 128}
	if r, errno = x.enter(nr_recvmsg, &[6]uintptr{fd, ptr(&h), uintptr(s.flags)}); errno != 0 {
		return r, errno, ""
	}
	fds := 0
	for b := oob[:h.Controllen]; len(b) >= cmsgHead; {
		size := int(getUint64(b))
		typ := getUint32(b[12:])
		for i := cmsgHead; typ == scmRights && i+4 <= size; i += 4 {
			fd := uintptr(getUint32(b[i:]))
			f, _ := x.enter(nr_fcntl, &[6]uintptr{fd, fGETFD})
			out += fmt.Sprintf("[fd, flags %d]", f)
			x.enter(nr_close, &[6]uintptr{fd})
			fds++
		}
		if typ == scmCredentials && size >= cmsgHead+4 {
			if getUint32(b[cmsgHead:]) != 0 {
				putUint32(b[cmsgHead:], 1)
			}
			out += fmt.Sprint(b[cmsgHead:size])
		}
		b = b[min((size+7)&^7, len(b)):]
	}
	out += fmt.Sprintf(" oob %d flags %#x name %s data %x", h.Controllen, h.Flags, x.nameOf(name[:h.Namelen], which), checksum(data))
	return r, 0, out
}

func checksum(b []byte) (v uint64) {
	for _, c := range b {
		v = v*31 + uint64(c)
	}
	return v
}

func socketParity(t *testing.T, seed uint64, steps int) {
	reset(t)
	install(socketCalls)
	dir, err := os.MkdirTemp("", "sockets")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	// Both paths have the same length, which getsockname tells.
	linuxSocketDir, libosSocketDir = dir, "/tmp/"+strings.Repeat("d", len(filepath.Base(dir))+len(filepath.Dir(dir))-len("/tmp"))
	must2(t)(sys(nr_mkdir, ptr(str(libosSocketDir)), 0o755))
	sides := [2]*side{{enter: linuxEnter}, {enter: libosEnter}}
	for _, x := range sides {
		for range socketSlots {
			x.fds = append(x.fds, ^uintptr(0))
		}
		null := x.run(step{num: nr_open, args: []any{"/dev/null", uintptr(oRDWR)}})
		x.fds = append(x.fds, null.r, ^uintptr(0))
	}
	defer func() {
		for _, fd := range sides[0].fds {
			if int(fd) > 2 {
				syscall.Close(int(fd))
			}
		}
	}()
	s := &socketScript{rand.New(rand.NewPCG(seed, 2)), [2]string{linuxSocketDir, libosSocketDir}, seed}
	var trail []string
	for range steps {
		st := s.step()
		var got [2]string
		for i, x := range sides {
			r, errno, out := x.do(st, i)
			got[i] = fmt.Sprintf("%d errno %d %s", int(r), errno, out)
			if i == 0 && errno == 0 {
				socketSuccesses++
			}
		}
		trail = append(trail, fmt.Sprintf("%s slot %d other %d n %d flags %#x fds %v %q -> %s", st.what, st.slot, st.other, st.n, st.flags, st.fds, st.addr[0], got[0]))
		if got[0] != got[1] {
			t.Errorf("seed %d, step %d:\n%s\nlinux: %s\nlibos: %s", seed, len(trail),
				strings.Join(trail[max(0, len(trail)-*parityTrail):], "\n"), got[0], got[1])
			return
		}
	}
}
