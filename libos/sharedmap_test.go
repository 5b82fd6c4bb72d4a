package libos

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// memoryAt returns the n bytes at address p.
func memoryAt(p uintptr, n int) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

func TestSharedMapping(t *testing.T) {
	reset(t)
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT)
	fdFile(fd).Write([]byte(strings.Repeat("x", 5000) + "tail"))
	shared := func(fd, prot uintptr) (uintptr, Errno) { return sys(nr_mmap, 0, 6000, prot, mapTheFile, fd, pageSize) }
	p := must2(t)(shared(fd, protRead|protWrite))
	mem := memoryAt(p, 6000)
	if string(mem[5000-pageSize:][:5]) != "tail\x00" {
		t.Errorf("mapped %q", mem[5000-pageSize:][:5])
	}
	sys(nr_pwrite64, fd, ptr(str("TAIL")), 4, 5000)
	if string(mem[5000-pageSize:][:4]) != "TAIL" {
		t.Errorf("a write is not seen through the mapping: %q", mem[5000-pageSize:][:4])
	}
	mem[0] = 'm'
	var b [2]byte
	sys(nr_pread64, fd, ptr(&b), 2, pageSize)
	if string(b[:]) != "mx" {
		t.Errorf("a write through the mapping is not seen: %q", b)
	}
	r := openTest(t, "/tmp/f", oRDONLY)
	_, errno := shared(r, protRead|protWrite)
	want(t, errno, EACCES)
	second := must2(t)(shared(r, protRead))
	if second != p {
		t.Error("a second mapping is other memory")
	}
	// The file's memory outlives its name and its descriptors.
	sys(nr_unlink, ptr(str("/tmp/f")))
	sys(nr_close, fd)
	sys(nr_close, r)
	if string(mem[5000-pageSize:][:4]) != "TAIL" || rootFS().held.used.Load() == 0 {
		t.Error("the mapping lost its file")
	}
	sys(nr_munmap, p, 4096)
	sys(nr_munmap, p+4096, 4096)
	if n := rootFS().held.used.Load(); n > 1<<17 {
		t.Logf("%d bytes held", n)
	}
}

// A mapping that is longer than its file shows what the file becomes, as bbolt
// and SQLite's shared memory need it.
func TestSharedMappingGrows(t *testing.T) {
	reset(t)
	fd := openTest(t, "/tmp/db", oRDWR|oCREAT)
	const size = 1 << 20
	p := must2(t)(sys(nr_mmap, 0, size, protRead, mapTheFile, fd, 0))
	mem := memoryAt(p, size)
	page := bytes.Repeat([]byte("abcdefgh"), pageSize/8)
	for off := uintptr(0); off < size; off += 5 * pageSize {
		must2(t)(sys(nr_pwrite64, fd, ptr(&page[0]), pageSize, off))
		if !bytes.Equal(mem[off:off+pageSize], page) {
			t.Fatalf("page at %d is not seen", off)
		}
	}
	must2(t)(sys(nr_ftruncate, fd, 3*pageSize))
	must2(t)(sys(nr_ftruncate, fd, size))
	if mem[0] != 'a' || !bytes.Equal(mem[5*pageSize:6*pageSize], make([]byte, pageSize)) {
		t.Error("truncation is not seen")
	}
	// Longer still: by mapping it anew, or by mremap.
	q := must2(t)(sys(nr_mremap, p, size, 2*size, remapMayMove))
	must2(t)(sys(nr_pwrite64, fd, ptr(&page[0]), pageSize, 2*size-pageSize))
	if mem = memoryAt(q, 2*size); mem[0] != 'a' || mem[2*size-1] != 'h' {
		t.Error("mremap lost the file")
	}
	_, errno := sys(nr_mmap, 0, 4*size, protRead, mapTheFile, fd, 0)
	want(t, errno, ENOMEM) // the first part cannot move while it is mapped
	must2(t)(sys(nr_munmap, q, 2*size))
	q = must2(t)(sys(nr_mmap, 0, 4*size, protRead, mapTheFile, fd, 0))
	if mem = memoryAt(q, 4*size); mem[2*size-1] != 'h' || mem[4*size-1] != 0 {
		t.Error("mapped anew, it is different")
	}
	must2(t)(sys(nr_munmap, q, 4*size))
	if len(mapped.list) != 0 {
		t.Error("a mapping is left")
	}
}

func TestMremap(t *testing.T) {
	reset(t)
	p := must2(t)(sys(nr_mmap, 0, 3*pageSize, 3, mapPrivate|mapAnonymous, ^uintptr(0), 0))
	copy(memoryAt(p, 4), "mark")
	_, errno := sys(nr_mremap, p, 3*pageSize, 9*pageSize, 0)
	want(t, errno, ENOMEM)
	_, errno = sys(nr_mremap, p+pageSize, pageSize, 9*pageSize, remapMayMove)
	want(t, errno, EFAULT)
	_, errno = sys(nr_mremap, p, pageSize, 0, remapMayMove)
	want(t, errno, EINVAL)
	p = must2(t)(sys(nr_mremap, p, 3*pageSize, 9*pageSize, remapMayMove))
	if mem := memoryAt(p, 9*pageSize); string(mem[:4]) != "mark" || mem[9*pageSize-1] != 0 {
		t.Error("contents were lost")
	}
	if q := must2(t)(sys(nr_mremap, p, 9*pageSize, pageSize, 0)); q != p || mapped.covers(p+pageSize, 1) {
		t.Error("it did not become shorter")
	}
}

// TestSharedMappingParity does the same at random to a file and its mappings on
// Linux and in libos, and compares what is in them.
func TestSharedMappingParity(t *testing.T) { sharedMappings(t) }

// SharedMappingsOn does so on file systems that make returns.
func SharedMappingsOn(t *testing.T, make func(testing.TB) FileSystem) {
	parityStart = func(t testing.TB) {
		setRoot(make(t))
		must2(t)(sys(nr_mkdir, ptr(str("/tmp")), 0o755))
	}
	defer func() { parityStart = nil }()
	sharedMappings(t)
}

func sharedMappings(t *testing.T) {
	for seed := range uint64(60) {
		reset(t)
		if parityStart != nil {
			parityStart(t)
		}
		rnd := rand.New(rand.NewPCG(seed, 3))
		name := filepath.Join(t.TempDir(), "f")
		lf, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		fds := [2]uintptr{lf.Fd(), openTest(t, "/tmp/f", oRDWR|oCREAT)}
		enter := [2]func(num uintptr, a *[6]uintptr) (uintptr, Errno){linuxEnter, libosEnter}
		maps := [2][]byte{}
		off, size := 0, 0 // of the mapping and the file
		for step := range 200 {
			var a [6]uintptr
			num, what := uintptr(0), ""
			switch k := rnd.IntN(6); {
			case k == 0 && maps[0] == nil:
				off = rnd.IntN(40) * pageSize
				num, what, a = nr_mmap, "mmap", [6]uintptr{0, uintptr(1+rnd.IntN(40)) * pageSize, 3, mapTheFile, 0, uintptr(off)}
			case k == 0:
				num, what = nr_munmap, "munmap"
			case k == 1:
				size = rnd.IntN(300_000)
				num, what, a = nr_ftruncate, "ftruncate", [6]uintptr{0, uintptr(size)}
			case k == 2 && maps[0] != nil && size > off: // through the mapping
				n := min(len(maps[0]), size-off)
				i := rnd.IntN(n)
				for side := range maps {
					maps[side][i] = byte(step)
				}
				continue
			default:
				at := rnd.IntN(200_000)
				data := bytes.Repeat([]byte{byte(step)}, 1+rnd.IntN(9000))
				size = max(size, at+len(data))
				num, what, a = nr_pwrite64, "pwrite", [6]uintptr{0, ptr(&data[0]), uintptr(len(data)), uintptr(at)}
			}
			for side := range fds {
				b := a
				switch num {
				case nr_mmap:
					b[4] = fds[side]
				case nr_munmap:
					b[0], b[1] = ptr(&maps[side][0]), uintptr(len(maps[side]))
				default:
					b[0] = fds[side]
				}
				r, errno := enter[side](num, &b)
				if errno != 0 {
					t.Fatalf("seed %d step %d side %d: %s: errno %d", seed, step, side, what, errno)
				}
				switch num {
				case nr_mmap:
					maps[side] = memoryAt(r, int(b[1]))
				case nr_munmap:
					maps[side] = nil
				}
			}
			if problem := differ(t, name, fds[1], maps, min(len(maps[0]), max(size-off, 0))); problem != "" {
				t.Fatalf("seed %d step %d: after %s: %s", seed, step, what, problem)
			}
		}
		if maps[0] != nil {
			syscall.Syscall(syscall.SYS_MUNMAP, ptr(&maps[0][0]), uintptr(len(maps[0])), 0)
		}
		lf.Close()
	}
}

// differ compares the file and the first n bytes of the mapping.
func differ(t *testing.T, name string, fd uintptr, maps [2][]byte, n int) string {
	linux, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	ours := make([]byte, len(linux)+1)
	k, errno := sys(nr_pread64, fd, ptr(&ours[0]), uintptr(len(ours)), 0)
	switch {
	case errno != 0 || int(k) != len(linux):
		return fmt.Sprintf("size %d errno %d, Linux has %d", k, errno, len(linux))
	case !bytes.Equal(ours[:k], linux):
		return "the file is different"
	case maps[0] != nil && !bytes.Equal(maps[0][:n], maps[1][:n]):
		return "the mapping is different"
	}
	return ""
}
