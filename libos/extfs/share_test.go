package extfs

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/ext4"
)

const page = 4096

func (r *rig) share(n libos.Node, off, size int64, write bool) libos.SharedMemory {
	r.Helper()
	m, errno := n.(libos.Sharer).Share(off, size, write)
	if errno != 0 {
		r.Fatalf("share: error %d", errno)
	}
	if len(m.Bytes()) != int(size) {
		r.Fatalf("%d bytes, want %d", len(m.Bytes()), size)
	}
	return m
}

// A mapping shows the file and the file shows the mapping; what was written to it
// is durable when it says so.
func TestShare(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	f := r.file("f")
	n := r.find("f")
	r.write(f, strings.Repeat("x", 5000)+"tail")
	m := r.share(n, page, 2*page, true)
	mem := m.Bytes()
	if string(mem[5000-page:][:5]) != "tail\x00" {
		t.Errorf("mapped %q", mem[5000-page:][:5])
	}
	f.WriteAt([]byte("TAIL"), 5000)
	if string(mem[5000-page:][:4]) != "TAIL" {
		t.Error("a write is not seen in the mapping")
	}
	copy(mem, "mapped")
	mem[5004-page] = '!' // behind the end
	if got := r.contents(n); got[page:page+6] != "mapped" || len(got) != 5004 {
		t.Errorf("what was mapped is not seen: %d bytes, %q", len(got), got[page:page+6])
	}
	sync1(t, r.fs)
	c := r.after(Options{})
	if got := c.contents(c.find("f")); got[page:page+6] != "mapped" || !strings.HasSuffix(got, "TAIL") {
		t.Error("it is not durable after sync")
	}
	f.WriteAt([]byte("far"), 9000)
	if mem[5004-page] != 0 {
		t.Error("what was written behind the end became a part of the file")
	}
	inner := r.share(n, 2*page, page, false)
	if &inner.Bytes()[0] != &mem[page] {
		t.Error("a part of it is other memory")
	}
	if _, errno := n.(libos.Sharer).Share(2*page, 5*page, false); errno != libos.ENOMEM {
		t.Errorf("what does not fit: error %d", errno)
	}
	inner.Close()
	copy(mem, "MAPPED")
	if errno := m.Sync(); errno != 0 {
		t.Errorf("error %d", errno)
	}
	c = r.after(Options{})
	if c.contents(c.find("f"))[page:page+6] != "MAPPED" {
		t.Error("it is not durable after msync")
	}
	// The memory outlives the name and the open file, and is given back.
	r.want(r.root().Unlink("f", false), 0)
	r.want(f.Close(), 0)
	copy(mem, "nameless")
	m.Close()
	if r.fs.mapped.Load() != 0 || len(r.fs.shown) != 0 {
		t.Error("something is left in memory")
	}
	r.sound()
}

// What was written to a mapping that has ended is the file's.
func TestShareEnds(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	f := r.file("f")
	n := r.find("f")
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: 1 << 20}), 0)
	before := r.fs.Usage().Free
	m := r.share(n, 0, 1<<20, true)
	m.Bytes()[300*1024] = 7
	m.Close()
	b := make([]byte, 1<<20)
	f.ReadAt(b, 0)
	if b[300*1024] != 7 || bytes.Count(b, []byte{0}) != len(b)-1 {
		t.Error("it is not in the file")
	}
	sync1(t, r.fs)
	if used := before - r.fs.Usage().Free; used > 20 {
		t.Errorf("one page was written, %d blocks are in use", used)
	}
	r.want(f.Close(), 0)
	r.sound()
}

// On a volume that is full, or a device that fails, who asks is told.
func TestShareFails(t *testing.T) {
	r := newRig(t, 4<<20, Options{})
	r.file("f")
	n := r.find("f")
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: 16 << 20}), 0)
	m := r.share(n, 0, 16<<20, true)
	for i := range m.Bytes() {
		m.Bytes()[i] = byte(i%255) + 1
	}
	r.want(m.Sync(), libos.ENOSPC)
	m.Close()
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{}), 0)
	sync1(t, r.fs)
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: 1 << 20}), 0)
	f := r.open(n, oRDWR)
	f.Write(bytes.Repeat([]byte{1}, 1<<20))
	r.sound()
	r.reopen(Options{Memory: ext4.MinCache})
	n = r.find("f")
	r.dev.Fail = func(string, int64, int64) error { return block.ErrIO }
	if _, errno := n.(libos.Sharer).Share(0, 1<<20, false); errno != libos.EIO {
		t.Errorf("error %d", errno)
	}
	r.dev.Fail = nil
	if r.fs.mapped.Load() != 0 {
		t.Error("something is left in memory")
	}
	r.sound()
}

// Goroutines that write to a file which others map and unmap leave the same in both.
func TestShareTogether(t *testing.T) {
	r := newRig(t, 16<<20, Options{Memory: ext4.MinCache})
	f := r.file("f")
	n := r.find("f")
	const size = 1 << 20
	r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: size}), 0)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 9))
			for range 150 {
				p := bytes.Repeat([]byte{byte(rnd.Uint32())}, 1+rnd.IntN(30_000))
				f.WriteAt(p, int64(rnd.IntN(size-len(p))))
				runtime.Gosched()
			}
		})
	}
	for range 40 {
		m := r.share(n, 0, size, false)
		runtime.Gosched()
		r.fs.maps.Lock() // nobody writes
		b := make([]byte, size)
		(file{node{r.fs, n.(rwFile).in}}).read(b, 0)
		if !slices.Equal(b, m.Bytes()) {
			t.Fatal("the mapping shows something else than the file")
		}
		r.fs.maps.Unlock()
		m.Close()
	}
	wg.Wait()
	r.sound()
}

// The system calls that lead here: msync, fsync of a directory, syncfs and sync.
func TestSystemCalls(t *testing.T) {
	r := newRig(t, 8<<20, Options{})
	if errno := libos.Mount("/vol", r.fs); errno != 0 {
		t.Fatalf("mount: error %d", errno)
	}
	call := func(num uintptr, a ...uintptr) uintptr {
		t.Helper()
		var all [6]uintptr
		copy(all[:], a)
		v, _, errno := libos.Enter(num, all[0], all[1], all[2], all[3], all[4], all[5])
		if errno != 0 {
			t.Fatalf("call %d: error %d", num, errno)
		}
		return v
	}
	path := func(s string) uintptr {
		b := append([]byte(s), 0)
		t.Cleanup(func() { runtime.KeepAlive(&b[0]) })
		return uintptr(unsafe.Pointer(&b[0]))
	}
	at := ^uintptr(99)
	fd := call(syscall.SYS_OPENAT, at, path("/vol/f"), syscall.O_RDWR|syscall.O_CREAT, 0o644)
	call(syscall.SYS_FTRUNCATE, fd, 3*page)
	p := call(syscall.SYS_MMAP, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED, fd, 0)
	mem := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), 3*page)
	copy(mem[page:], "written")
	call(syscall.SYS_MSYNC, p, 3*page, syscall.MS_SYNC)
	check := func(what, name, text string) {
		t.Helper()
		c := r.after(Options{})
		if got := c.contents(c.find(name)); !strings.Contains(got, text) {
			t.Errorf("after %s it is not durable", what)
		}
	}
	check("msync", "f", "written")
	copy(mem[page:], "fsynced")
	call(syscall.SYS_FDATASYNC, fd)
	check("fdatasync", "f", "fsynced")
	if _, _, errno := libos.Enter(syscall.SYS_MREMAP, p, 3*page, 9*page, 1, 0, 0); libos.Errno(errno) != libos.ENOMEM {
		t.Errorf("mremap: error %d", errno)
	}
	call(syscall.SYS_MUNMAP, p, page)
	call(syscall.SYS_MUNMAP, p+page, 2*page)
	call(syscall.SYS_RENAMEAT, at, path("/vol/f"), at, path("/vol/g"))
	dir := call(syscall.SYS_OPENAT, at, path("/vol"), syscall.O_DIRECTORY)
	call(syscall.SYS_FSYNC, dir)
	check("fsync of the directory", "g", "fsynced")
	call(syscall.SYS_PWRITE64, fd, path("syncfs"), 6, 0)
	const syncfs = 306
	call(syncfs, dir)
	check("syncfs", "g", "syncfs")
	call(syscall.SYS_PWRITE64, fd, path("sync"), 4, 100)
	call(syscall.SYS_SYNC)
	check("sync", "g", "sync")
	ro := call(syscall.SYS_MMAP, 0, page, syscall.PROT_READ, syscall.MAP_SHARED, fd, 0)
	if _, _, errno := libos.Enter(syscall.SYS_MPROTECT, ro, page, syscall.PROT_READ|syscall.PROT_WRITE, 0, 0, 0); libos.Errno(errno) != libos.EACCES {
		t.Errorf("mprotect: error %d", errno)
	}
	call(syscall.SYS_MUNMAP, ro, page)
	call(syscall.SYS_CLOSE, fd)
	r.sound()
}
