package libos

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

var paritySeed = flag.Uint64("parity.seed", 0, "run one parity sequence with this seed")

// The parity tests run the same random calls against Linux and libos.

// parityDepth is how deep the tree under test lies, so that ".." does not lead
// out of it.
const parityDepth = 24

// A side is one of the two systems.
type side struct {
	enter func(num uintptr, a *[6]uintptr) (uintptr, Errno)
	fds   []uintptr
}

// linuxEnter repeats what a signal has interrupted: Go's scheduler sends its threads
// some.
func linuxEnter(num uintptr, a *[6]uintptr) (uintptr, Errno) {
	for {
		r, _, errno := syscall.Syscall6(num, a[0], a[1], a[2], a[3], a[4], a[5])
		if errno != syscall.EINTR {
			return r, Errno(errno)
		}
	}
}

func libosEnter(num uintptr, a *[6]uintptr) (uintptr, Errno) {
	r, _, errno := Enter(num, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, Errno(errno)
}

// Kinds of arguments, besides uintptr and string (a path).
type (
	slotArg int    // a descriptor opened before
	inArg   []byte // bytes given
	outArg  int    // room for so many bytes
	vecArg  []int  // parts of these lengths
)

// A step is one call; the result is put in a slot if it is a descriptor.
type step struct {
	num  uintptr
	args []any
	fd   bool
}

func (s step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s(", CallName(s.num))
	for i, a := range s.args {
		if i > 0 {
			b.WriteString(", ")
		}
		switch a := a.(type) {
		case string:
			fmt.Fprintf(&b, "%.30q", a)
		case uintptr:
			fmt.Fprintf(&b, "%#x", a)
		case slotArg:
			fmt.Fprintf(&b, "slot %d", int(a))
		case inArg:
			fmt.Fprintf(&b, "[%d bytes]", len(a))
		default:
			fmt.Fprintf(&b, "%v", a)
		}
	}
	return b.String() + ")"
}

// outcome is what one side made of a step.
type outcome struct {
	r     uintptr
	errno Errno
	out   []byte
}

// run carries out s. Buffers are made anew, filled with a pattern.
func (x *side) run(s step) outcome {
	var a [6]uintptr
	var keep []any
	var out []byte
	for i, arg := range s.args {
		switch v := arg.(type) {
		case uintptr:
			a[i] = v
		case string:
			p := str(v)
			keep, a[i] = append(keep, p), ptr(p)
		case slotArg:
			a[i] = x.fds[v]
		case inArg:
			b := append([]byte(nil), append(v, 0)...)
			keep, a[i] = append(keep, b), ptr(&b[0])
		case outArg:
			out = bytes.Repeat([]byte{0xaa}, int(v)+1)
			keep, a[i] = append(keep, out), ptr(&out[0])
		case vecArg:
			total := 0
			for _, n := range v {
				total += n
			}
			out = bytes.Repeat([]byte{0x55}, total+1)
			iov, at := make([]syscall.Iovec, len(v)+1), 0
			for j, n := range v {
				iov[j] = syscall.Iovec{Base: &out[at], Len: uint64(n)}
				at += n
			}
			keep, a[i] = append(keep, out, iov), ptr(&iov[0])
		}
	}
	r, errno := x.enter(s.num, &a)
	if len(keep) > 100 {
		panic("keeps the buffers alive")
	}
	return outcome{r, errno, out}
}

// script makes random steps.
type script struct {
	*rand.Rand
	slots int
	side  *side // tells which slots are in use
}

func (s *script) name() string { return []string{"a", "b", "c", "d"}[s.IntN(4)] }

// path returns a path of a few components.
func (s *script) path() string {
	var b strings.Builder
	for i := range []int{1, 1, 1, 1, 2, 2, 3}[s.IntN(7)] {
		if i > 0 {
			b.WriteString([]string{"/", "/", "/", "//"}[s.IntN(4)])
		}
		switch s.IntN(14) {
		case 0:
			b.WriteString(".")
		case 1:
			b.WriteString("..")
		default:
			b.WriteString(s.name())
		}
	}
	if s.IntN(10) == 0 {
		b.WriteString("/")
	}
	switch s.IntN(200) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("n", 254+s.IntN(3))
	case 2:
		return strings.Repeat("./", 2040+s.IntN(12))
	}
	return b.String()
}

// slot returns a slot, mostly one in use. The first always holds the top of the
// tree.
func (s *script) slot() slotArg {
	for range 6 {
		if i := 1 + s.IntN(s.slots-1); s.side.fds[i] != ^uintptr(0) {
			return slotArg(i)
		}
	}
	return slotArg(1 + s.IntN(s.slots-1))
}

// dir returns where a path begins.
func (s *script) dir() any {
	switch s.IntN(10) {
	case 0, 1:
		return s.slot()
	case 2, 3:
		return slotArg(0)
	}
	return cwd
}

func (s *script) pick(list ...uintptr) uintptr { return list[s.IntN(len(list))] }

// bits returns some of the flags in list.
func (s *script) bits(p int, list ...uintptr) (v uintptr) {
	for _, f := range list {
		if s.IntN(p) == 0 {
			v |= f
		}
	}
	return v
}

func (s *script) offset() uintptr {
	return uintptr(s.pick(0, 1, 5, 100, 511, 512, 4095, 4096, 65535, 65536, 70000, 1<<20, ^uintptr(0), 1<<63-1) + uintptr(s.IntN(3)))
}

func (s *script) size() int { return []int{0, 1, 7, 100, 512, 4096, 5000, 66000}[s.IntN(8)] }

func (s *script) data() inArg {
	b := make(inArg, s.size())
	for i := range b {
		b[i] = byte(s.Uint32())
	}
	return b
}

func (s *script) openFlags() uintptr {
	return s.pick(oRDONLY, oRDONLY, oWRONLY, oRDWR, oRDWR, 3) | s.bits(2, oCREAT) |
		s.bits(4, oTRUNC, oEXCL) | s.bits(5, oAPPEND, oDIRECTORY, oNOFOLLOW) | s.bits(9, oPATH, oNONBLOCK)
}

func (s *script) time() uintptr {
	return s.pick(0, 1, 999_999_999, 1_000_000_000, utimeNow, utimeOmit)
}

func (s *script) times() inArg {
	var b inArg
	for range 2 {
		var one [16]byte
		putUint64(one[:], uint64(s.IntN(2_000_000_000)))
		putUint64(one[8:], uint64(s.time()))
		b = append(b, one[:]...)
	}
	return b
}

// step returns the next call.
func (s *script) step() step {
	n := func(v int) uintptr { return uintptr(v) }
	switch s.IntN(60) {
	case 0, 1, 2, 3, 4, 5, 6:
		return step{nr_openat, []any{s.dir(), s.path(), s.openFlags(), s.pick(0o644, 0o755, 0, 0o7777)}, true}
	case 7:
		return step{nr_open, []any{s.path(), s.openFlags(), uintptr(0o600)}, true}
	case 8, 9:
		return step{num: nr_close, args: []any{s.slot()}}
	case 10, 11:
		k := s.size()
		return step{num: nr_read, args: []any{s.slot(), outArg(k), n(k)}}
	case 12, 13, 14:
		b := s.data()
		return step{num: nr_write, args: []any{s.slot(), b, n(len(b))}}
	case 15:
		k := s.size()
		return step{num: nr_pread64, args: []any{s.slot(), outArg(k), n(k), s.offset()}}
	case 16, 17:
		b := s.data()
		off := s.offset()
		if off > 1<<40 && off < 1<<62 {
			off = 0
		}
		return step{num: nr_pwrite64, args: []any{s.slot(), b, n(len(b)), off}}
	case 18, 19:
		return step{num: nr_lseek, args: []any{s.slot(), s.offset(), s.pick(0, 1, 2, 9)}}
	case 20:
		return step{num: nr_ftruncate, args: []any{s.slot(), s.smallOffset()}}
	case 21:
		return step{num: nr_truncate, args: []any{s.path(), s.smallOffset()}}
	case 22, 23, 24:
		return step{num: nr_mkdirat, args: []any{s.dir(), s.path(), s.pick(0o755, 0o777, 0, 0o7777)}}
	case 25:
		return step{num: nr_mkdir, args: []any{s.path(), s.pick(0o755, 0o2755)}}
	case 26:
		return step{num: nr_rmdir, args: []any{s.path()}}
	case 27, 28:
		return step{num: nr_unlinkat, args: []any{s.dir(), s.path(), s.pick(0, 0, atRemovedir, 1)}}
	case 29:
		return step{num: nr_unlink, args: []any{s.path()}}
	case 30, 31:
		return step{num: nr_rename, args: []any{s.path(), s.path()}}
	case 32, 33, 34:
		return step{num: nr_renameat2, args: []any{s.dir(), s.path(), s.dir(), s.path(), s.pick(0, 0, 1, 2, 3, 8)}}
	case 35, 36:
		return step{num: nr_linkat, args: []any{s.dir(), s.path(), s.dir(), s.path(), s.pick(0, atSymlinkFollow, 0, 1)}}
	case 37, 38, 39:
		return step{num: nr_symlinkat, args: []any{s.path(), s.dir(), s.path()}}
	case 40:
		k := int(s.pick(0, 1, 300))
		return step{num: nr_readlinkat, args: []any{s.dir(), s.path(), outArg(k), n(k)}}
	case 41, 42, 43:
		return step{num: nr_newfstatat, args: []any{s.dir(), s.path(), outArg(144), s.pick(0, atSymlinkNofollow, atEmptyPath, 1)}}
	case 44:
		return step{num: nr_fstat, args: []any{s.slot(), outArg(144)}}
	case 45:
		return step{num: nr_fchmodat, args: []any{s.dir(), s.path(), s.pick(0o644, 0o755, 0, 0o7777)}}
	case 46:
		return step{num: nr_fchmod, args: []any{s.slot(), s.pick(0o600, 0o4711, 0o2771)}}
	case 47:
		return step{num: nr_fchownat, args: []any{s.dir(), s.path(), s.pick(0, 7, ^uintptr(0)), s.pick(0, 8, ^uintptr(0)), s.pick(0, atSymlinkNofollow)}}
	case 48:
		return step{num: nr_fchown, args: []any{s.slot(), s.pick(0, 7, ^uintptr(0)), s.pick(0, 8)}}
	case 49:
		return step{num: nr_faccessat2, args: []any{s.dir(), s.path(), s.pick(0, 1, 2, 4, 7, 8), s.pick(0, atSymlinkNofollow, 1)}}
	case 50, 51:
		return step{num: nr_getdents64, args: []any{s.slot(), outArg(4096), uintptr(4096)}}
	case 52:
		if s.IntN(3) > 0 {
			return step{num: nr_fchdir, args: []any{slotArg(0)}}
		}
		return step{num: nr_chdir, args: []any{s.path()}}
	case 53:
		if s.IntN(2) == 0 {
			return step{num: nr_fchdir, args: []any{s.slot()}}
		}
		return step{num: nr_getcwd, args: []any{outArg(4096), uintptr(4096)}}
	case 54:
		return step{num: nr_utimensat, args: []any{s.dir(), s.path(), s.times(), s.pick(0, atSymlinkNofollow, 1)}}
	case 55:
		v := vecArg{s.size(), s.size(), s.size()}
		return step{num: s.pick(nr_readv, nr_writev), args: []any{s.slot(), v, n(len(v))}}
	case 56:
		return step{num: nr_fcntl, args: []any{s.slot(), s.pick(fGETFL, fGETFD), uintptr(0)}}
	case 57:
		return step{num: nr_fcntl, args: []any{s.slot(), uintptr(fSETFL), s.bits(2, oAPPEND, oNONBLOCK)}}
	case 58:
		return step{num: nr_dup, args: []any{s.slot()}, fd: true}
	}
	if s.IntN(2) == 0 {
		return step{num: nr_fchdir, args: []any{slotArg(0)}}
	}
	return step{num: nr_umask, args: []any{s.pick(0, 0o22, 0o77)}}
}

// smallOffset is an offset for sizes: great ones differ between file systems.
func (s *script) smallOffset() uintptr {
	return s.pick(0, 1, 100, 511, 4096, 65535, 65536, 65537, 200000, ^uintptr(0))
}

// isDir reports whether a slot holds a directory.
func (x *side) isDir(slot slotArg) bool {
	var st stat
	_, errno := x.enter(nr_fstat, &[6]uintptr{x.fds[slot], ptr(&st)})
	return errno == 0 && st.mode&ModeFmt == ModeDir
}

// normal makes comparable what may differ: directory sizes, inode numbers,
// times, the order of names, and the part of a path above the tree.
func normal(s step, o outcome, base string) outcome {
	if o.errno != 0 {
		o.r = 0
		if s.num == nr_newfstatat || s.num == nr_fstat || s.num == nr_getdents64 || s.num == nr_getcwd {
			o.out = nil
		}
		return o
	}
	switch s.num {
	case nr_newfstatat, nr_fstat:
		st := *(*stat)(unsafe.Pointer(&o.out[0]))
		st.dev, st.ino, st.blocks, st.blksize = 0, 0, 0, 0
		if st.mode&ModeFmt == ModeDir {
			st.size = 0
		}
		if st.atime.Sec > 2_000_000_000 || st.mtime.Sec > time.Now().Unix()-1000 {
			st.mtime = Time{}
		}
		st.atime, st.ctime = Time{}, Time{}
		o.out = fmt.Appendf(nil, "%+v", st)
	case nr_getdents64:
		o.out, o.r = names(o.out[:o.r]), 0
	case nr_getcwd:
		path := string(o.out[:o.r-1])
		path = strings.TrimPrefix(path, base)
		o.out, o.r = []byte(path), 0
	case nr_fcntl:
		o.r &^= oNOFOLLOW
	}
	return o
}

// names returns the sorted names and types of a struct linux_dirent64 list.
func names(b []byte) []byte {
	var list []string
	for len(b) > 0 {
		n := int(b[16]) | int(b[17])<<8
		name, _, _ := bytes.Cut(b[19:n], []byte{0})
		list = append(list, fmt.Sprintf("%s:%d", name, b[18]))
		b = b[n:]
	}
	sort.Strings(list)
	return []byte(strings.Join(list, " "))
}

// TestParity runs random sequences of file operations against Linux and libos.
func TestParity(t *testing.T) {
	parityRuns(t, nil)
}

// TestParityOverlay does so with what a first half of the calls made lying
// below an overlay for the second.
func TestParityOverlay(t *testing.T) {
	parityRuns(t, layOver)
}

// ParityOn runs the parity test on file systems that make returns. Those that half
// returns are used for the second half of the calls, when nothing is open.
func ParityOn(t *testing.T, make, half func(testing.TB) FileSystem) {
	parityStart = func(t testing.TB) { setRoot(make(t)) }
	defer func() { parityStart = nil }()
	parityRuns(t, func(t testing.TB) { setRoot(half(t)) })
}

// setRoot makes fs the root file system, and the only one.
func setRoot(fs FileSystem) {
	root := &mount{fs: fs, root: fs.Root()}
	files.mounts, files.cwd = []*mount{root}, place{root, root.root}
}

// parityStart, if it is not nil, is called before each sequence.
var parityStart func(testing.TB)

// layOver puts an overlay over the root file system.
func layOver(t testing.TB) {
	fs, errno := Overlay(files.mounts[0].root.(Directory))
	want(t, errno, 0)
	setRoot(fs)
}

// parityRuns runs sequences for some time. half, if it is not nil, is called
// on libos in the middle of each, when nothing is open.
func parityRuns(t *testing.T, half func(testing.TB)) {
	if os.Getuid() != 0 {
		t.Skip("libos has user 0 only: run as root to compare with Linux")
	}
	if *paritySeed != 0 {
		parity(t, *paritySeed, 3000, half)
		return
	}
	paritySuccesses = 0
	base := uint64(time.Now().UnixNano())
	end := time.Now().Add(4 * time.Second)
	n := 0
	for i := uint64(0); time.Now().Before(end) && !t.Failed(); i++ {
		parity(t, base+i, 1500, half)
		n++
	}
	t.Logf("%d sequences of 1500 calls, %d %% of the calls succeed", n, 100*paritySuccesses/max(1500*n, 1))
	if !t.Failed() && paritySuccesses < 1500*n/7 {
		t.Error("too few calls succeed: the sequences test little but errors")
	}
}

// paritySuccesses counts the calls that succeeded on Linux.
var paritySuccesses int

// parity runs one sequence.
func parity(t *testing.T, seed uint64, steps int, half func(testing.TB)) {
	reset(t)
	if parityStart != nil {
		parityStart(t)
	}
	old, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	parent := t.TempDir()
	if dir, err := os.MkdirTemp("/dev/shm", "parity"); err == nil {
		parent = dir
		defer os.RemoveAll(dir)
	}
	defer os.Chdir(old)
	defer syscall.Umask(syscall.Umask(0o022))
	deep := strings.Repeat("/L", parityDepth)
	if err := os.MkdirAll(filepath.Join(parent, deep), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(filepath.Join(parent, deep)); err != nil {
		t.Fatal(err)
	}
	for i := range parityDepth {
		must2(t)(sys(nr_mkdir, ptr(str(deep[:2*i+2])), 0o755))
	}
	must2(t)(sys(nr_chdir, ptr(str(deep))))
	sides := [2]*side{{enter: linuxEnter}, {enter: libosEnter}}
	if half == nil {
		compare(t, sides, seed, steps, parent)
		return
	}
	compare(t, sides, seed, steps/2, parent)
	sides[1].closeAll()
	half(t)
	must2(t)(sys(nr_chdir, ptr(str(deep))))
	if err := os.Chdir(filepath.Join(parent, deep)); err != nil {
		t.Fatal(err)
	}
	compare(t, sides, ^seed, steps/2, parent)
}

// closeAll closes all slots.
func (x *side) closeAll() {
	for _, fd := range x.fds {
		if int(fd) > 2 {
			x.enter(nr_close, &[6]uintptr{fd})
		}
	}
	x.fds = nil
}

// listAgain is how often Linux is asked again for the names in a directory: its
// tmpfs (seen twice, on 6.18) may give the beginning alone, and does not with the
// same seed.
const listAgain = 3

// list runs a step. A directory is read from the start: what comes to an open one
// meanwhile is not specified.
func (x *side) list(st step) outcome {
	if st.num == nr_getdents64 {
		x.enter(nr_lseek, &[6]uintptr{x.fds[st.args[0].(slotArg)]})
	}
	return x.run(st)
}

func compare(t *testing.T, sides [2]*side, seed uint64, steps int, parent string) {
	s := &script{rand.New(rand.NewPCG(seed, 1)), 8, sides[0]}
	defer sides[0].closeAll()
	for _, x := range sides {
		for range s.slots {
			x.fds = append(x.fds, ^uintptr(0))
		}
		x.fds[0] = x.run(step{num: nr_openat, args: []any{cwd, ".", uintptr(oDIRECTORY)}}).r
	}
	var trail []string
	for range steps {
		st := s.step()
		into := 1 + s.IntN(s.slots-1)
		if st.num == nr_lseek && sides[0].isDir(st.args[0].(slotArg)) {
			continue // what a position in a directory is differs between file systems
		}
		var got [2]outcome
		for i, x := range sides {
			got[i] = x.list(st)
			if st.num == nr_close {
				x.fds[st.args[0].(slotArg)] = ^uintptr(0)
			}
			if st.fd && got[i].errno == 0 {
				if x.fds[into] != ^uintptr(0) {
					x.run(step{num: nr_close, args: []any{slotArg(into)}})
				}
				x.fds[into], got[i].r = got[i].r, 0
			}
			got[i] = normal(st, got[i], []string{parent, ""}[i])
		}
		for again := 0; again < listAgain && st.num == nr_getdents64 && fmt.Sprint(got[0]) != fmt.Sprint(got[1]); again++ {
			got[0] = normal(st, sides[0].list(st), parent)
		}
		if got[0].errno == 0 {
			paritySuccesses++
		}
		trail = append(trail, fmt.Sprintf("%v -> slot %d: %d %d", st, into, got[0].r, got[0].errno))
		if fmt.Sprint(got[0]) != fmt.Sprint(got[1]) {
			tail := trail[max(0, len(trail)-*parityTrail):]
			t.Errorf("seed %d, step %d:\n%s\nlinux: r %d errno %d out %.300q\nlibos: r %d errno %d out %.300q",
				seed, len(trail), strings.Join(tail, "\n"),
				got[0].r, got[0].errno, got[0].out, got[1].r, got[1].errno, got[1].out)
			return
		}
	}
}

var parityTrail = flag.Int("parity.trail", 12, "steps shown before a difference")
