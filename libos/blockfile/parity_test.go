package blockfile

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/block/blocktest"
	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/libos"
)

// paritySize is that of the devices, in bytes.
const paritySize = 1 << 20

// loop returns a block device of Linux's, with zeros on it.
func loop(t *testing.T, flags ...string) string {
	t.Helper()
	xtest.NeedRoot(t)
	losetup := xtest.NeedCommand(t, "losetup", "mount")
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, paritySize), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(losetup, append(flags, "--find", "--show", file)...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = errors.New(string(exit.Stderr))
	}
	xtest.Need(t, "loop", err, "load the loop module")
	dev := strings.TrimSpace(string(out))
	t.Cleanup(func() { exec.Command(losetup, "-d", dev).Run() })
	return dev
}

// A system is Linux or libos, with the same device at a path and two descriptors of
// it: for reading and writing, and for reading.
type system struct {
	path  []byte
	enter func(num uintptr, a ...uintptr) (uintptr, libos.Errno)
	fds   [2]uintptr
}

func linux(num uintptr, a ...uintptr) (uintptr, libos.Errno) {
	r, _, errno := syscall.Syscall6(num, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, libos.Errno(errno)
}

func ours(num uintptr, a ...uintptr) (uintptr, libos.Errno) {
	r, _, errno := libos.Enter(num, a[0], a[1], a[2], a[3], a[4], a[5])
	return r, libos.Errno(errno)
}

// call makes a system call.
func (s *system) call(num uintptr, a ...uintptr) (uintptr, libos.Errno) {
	return s.enter(num, append(a, 0, 0, 0, 0, 0)[:6]...)
}

func (s *system) open(t *testing.T) {
	for i, flags := range []uintptr{syscall.O_RDWR, syscall.O_RDONLY} {
		fd, errno := s.call(syscall.SYS_OPEN, addr(s.path), flags)
		if errno != 0 {
			t.Fatalf("open %s: error %d", s.path, errno)
		}
		s.fds[i] = fd
		t.Cleanup(func() { s.call(syscall.SYS_CLOSE, fd) })
	}
}

func addr(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// systems returns Linux with a loop device and libos with one in memory.
func systems(t *testing.T, name string, sector int, readOnly bool) [2]*system {
	libos.UseAll()
	flags := []string{"--sector-size", fmt.Sprint(sector)}
	if readOnly {
		flags = append(flags, "-r")
	}
	dev := loop(t, flags...)
	m := blocktest.New(paritySize)
	m.RO, m.Sector = readOnly, sector
	path := "/dev/disk/by-id/virtio-" + name
	if errno := libos.MakeBlockDevice(path, 3, New(m, nil).Open); errno != 0 {
		t.Fatalf("make %s: error %d", path, errno)
	}
	both := [2]*system{{path: append([]byte(dev), 0), enter: linux}, {path: append([]byte(path), 0), enter: ours}}
	for _, s := range both {
		s.open(t)
	}
	return both
}

// A call is one of a script: of descriptor fd, with the buffer buf as argument arg, or
// of the path (fd < 0).
type call struct {
	num  uintptr
	fd   int
	buf  []byte // nil for none
	arg  int
	args []uintptr // behind the descriptor; that of the buffer is put in
}

func (c call) String() string {
	return fmt.Sprintf("%s(%d, %d bytes, %#x)", libos.CallName(c.num), c.fd, len(c.buf), c.args)
}

// do makes the call, and returns what the buffer has then.
func (c call) do(s *system) (uintptr, libos.Errno, []byte) {
	buf, first := bytes.Clone(c.buf), addr(s.path)
	if c.fd >= 0 {
		first = s.fds[c.fd]
	}
	a := append([]uintptr{first}, c.args...)
	if buf != nil {
		buf = append(buf, 0xee)
		a[c.arg] = addr(buf)
	}
	r, errno := s.call(c.num, a...)
	runtime.KeepAlive(buf)
	return r, errno, buf
}

// script makes random calls.
type script struct{ *rand.Rand }

// place returns an offset and a length, often at the ends and at sectors.
func (r script) place() (off int64, n int) {
	off, n = r.Int64N(paritySize), r.IntN(5000)
	switch r.IntN(4) {
	case 0:
		off, n = off&^511, n&^511
	case 1:
		off = paritySize - int64(r.IntN(3000)) + 100
	}
	if r.IntN(20) == 0 {
		off = []int64{-1, 0, paritySize, paritySize - 512, 1<<63 - 1, 1 << 40}[r.IntN(6)]
	}
	return off, n
}

func (r script) bytes(n int) []byte {
	b := make([]byte, n, n+1)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func (r script) next() call {
	off, n := r.place()
	fd := r.IntN(10) / 9 // mostly the one to write with
	at, data := uintptr(off), r.bytes(n)
	switch r.IntN(9) {
	case 0:
		return call{syscall.SYS_PWRITE64, fd, data, 1, []uintptr{0, uintptr(n), at}}
	case 1:
		return call{syscall.SYS_PREAD64, fd, data, 1, []uintptr{0, uintptr(n), at}}
	case 2:
		return call{syscall.SYS_WRITE, fd, data, 1, []uintptr{0, uintptr(n)}}
	case 3:
		return call{syscall.SYS_READ, fd, data, 1, []uintptr{0, uintptr(n)}}
	case 4:
		return call{syscall.SYS_LSEEK, fd, nil, 0, []uintptr{at, uintptr(r.IntN(6))}}
	case 5:
		mode := []uintptr{0, 1, 2, 0x10, 0x11, 0x12}[r.IntN(6)]
		return call{syscall.SYS_FALLOCATE, fd, nil, 0, []uintptr{mode, at, uintptr(n)}}
	case 6:
		return call{[]uintptr{syscall.SYS_FSYNC, syscall.SYS_FDATASYNC}[r.IntN(2)], fd, nil, 0, nil}
	case 7:
		rng := binaryRange(uint64(off), uint64(n))
		if r.IntN(2) == 0 { // so that both sides have zeros then
			return call{syscall.SYS_IOCTL, fd, rng, 2, []uintptr{libos.BLKZEROOUT, 0}}
		}
		rng = binaryRange(uint64(off)|1, uint64(n)) // refused: what it leaves is not the same
		return call{syscall.SYS_IOCTL, fd, rng, 2, []uintptr{libos.BLKDISCARD, 0}}
	}
	size := map[uintptr]int{libos.BLKGETSIZE64: 8, libos.BLKGETSIZE: 8, libos.BLKSSZGET: 4, libos.BLKPBSZGET: 4, libos.BLKBSZGET: 4, libos.BLKROGET: 4}
	requests := []uintptr{libos.BLKGETSIZE64, libos.BLKGETSIZE, libos.BLKSSZGET, libos.BLKPBSZGET, libos.BLKBSZGET, libos.BLKROGET, libos.BLKFLSBUF}
	q := requests[r.IntN(len(requests))]
	if size[q] == 0 {
		return call{syscall.SYS_IOCTL, fd, nil, 0, []uintptr{q, 0}}
	}
	return call{syscall.SYS_IOCTL, fd, r.bytes(size[q]), 2, []uintptr{q, 0}}
}

func binaryRange(off, n uint64) []byte {
	b := make([]byte, 0, 17)
	for _, v := range []uint64{off, n} {
		for range 8 {
			b, v = append(b, byte(v)), v>>8
		}
	}
	return b
}

// compare makes a call on both systems.
func compare(t *testing.T, both [2]*system, c call) {
	t.Helper()
	r0, errno0, out0 := c.do(both[0])
	r1, errno1, out1 := c.do(both[1])
	if errno0 != errno1 || errno0 == 0 && r0 != r1 {
		t.Errorf("%v: Linux %d, error %d; libos %d, error %d", c, r0, errno0, r1, errno1)
	}
	if !bytes.Equal(out0, out1) {
		t.Errorf("%v: the buffers differ", c)
	}
}

// TestParity compares Linux' block devices with ours, call by call.
func TestParity(t *testing.T) {
	for name, kind := range map[string]struct {
		sector   int
		readOnly bool
	}{"p512": {512, false}, "p4096": {4096, false}, "p512ro": {512, true}} {
		t.Run(name, func(t *testing.T) {
			both := systems(t, name, kind.sector, kind.readOnly)
			r := script{rand.New(rand.NewPCG(1, 2))}
			for range 3000 {
				compare(t, both, r.next())
				if t.Failed() {
					return
				}
			}
			for _, c := range special {
				compare(t, both, c)
			}
			compareOpen(t, both)
			compare(t, both, call{syscall.SYS_PREAD64, 0, make([]byte, paritySize, paritySize+1), 1, []uintptr{0, paritySize, 0}})
			compareStat(t, both)
		})
	}
}

// special are calls that scripts do not make.
var special = []call{
	{syscall.SYS_FTRUNCATE, 0, nil, 0, []uintptr{0}},
	{syscall.SYS_TRUNCATE, -1, nil, 0, []uintptr{0}},
	{syscall.SYS_ACCESS, -1, nil, 0, []uintptr{2}},
	{syscall.SYS_ACCESS, -1, nil, 0, []uintptr{1}},
	{syscall.SYS_IOCTL, 0, nil, 0, []uintptr{libos.BLKGETSIZE64, 0}}, // no argument
	{syscall.SYS_IOCTL, 0, binaryRange(0, 0), 2, []uintptr{libos.BLKDISCARD, 0}},
	{syscall.SYS_IOCTL, 0, binaryRange(512, 1<<64-512), 2, []uintptr{libos.BLKDISCARD, 0}},
	{syscall.SYS_IOCTL, 1, binaryRange(0, 512), 2, []uintptr{libos.BLKDISCARD, 0}},
}

// compareOpen opens the device in other ways, writes, and looks where that was.
func compareOpen(t *testing.T, both [2]*system) {
	for _, flags := range []uintptr{
		syscall.O_RDWR | syscall.O_TRUNC, syscall.O_WRONLY, syscall.O_RDWR | syscall.O_CREAT,
		syscall.O_RDWR | syscall.O_APPEND, syscall.O_RDWR | syscall.O_SYNC, syscall.O_RDONLY | syscall.O_DIRECTORY,
	} {
		var got [2]string
		for i, s := range both {
			fd, errno := s.call(syscall.SYS_OPEN, addr(s.path), flags)
			got[i] = fmt.Sprintf("open: error %d", errno)
			if errno != 0 {
				continue
			}
			text := []byte("abc")
			n, errno := s.call(syscall.SYS_WRITE, fd, addr(text), 3)
			runtime.KeepAlive(text)
			at, _ := s.call(syscall.SYS_LSEEK, fd, 0, 1)
			got[i] += fmt.Sprintf(", write: %d, error %d, at %d", int(n), errno, at)
			s.call(syscall.SYS_CLOSE, fd)
		}
		if got[0] != got[1] {
			t.Errorf("opened with %#x: Linux %s; libos %s", flags, got[0], got[1])
		}
	}
}

func compareStat(t *testing.T, both [2]*system) {
	var st [2]syscall.Stat_t
	for i, s := range both {
		s.call(syscall.SYS_STAT, addr(s.path), uintptr(unsafe.Pointer(&st[i])))
	}
	if a, b := st[0], st[1]; a.Mode&syscall.S_IFMT != b.Mode&syscall.S_IFMT || a.Size != b.Size || a.Blocks != b.Blocks || b.Rdev != 254<<8|3 {
		t.Errorf("stat: Linux %+v, libos %+v", a, b)
	}
}
