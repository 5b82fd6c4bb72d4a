package libos

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"
)

const cwd = ^uintptr(99) // AT_FDCWD

func readAll(t testing.TB, path string) string {
	t.Helper()
	fd := openTest(t, path, oRDONLY)
	defer fdFile(fd).close(t)
	var buf [4096]byte
	n, err := fdFile(fd).Read(buf[:])
	if err != nil {
		t.Fatalf("read %s: %v", path, err)
	}
	return string(buf[:n])
}

func statTest(t testing.TB, path string) stat {
	t.Helper()
	var st stat
	_, errno := sys(nr_newfstatat, cwd, ptr(str(path)), ptr(&st), atSymlinkNofollow)
	if errno != 0 {
		t.Fatalf("stat %s: errno %d", path, errno)
	}
	return st
}

func rootFS() *memFS { return files.mounts[0].fs.(*memFS) }

func TestBootFiles(t *testing.T) {
	reset(t)
	boot(`hostname=web1 ip=10.0.0.2/24 ip=fd00::2/64 ip=eth1:10.1.0.2/24 ip=eth2:dhcp gw=10.0.0.1 dns=10.0.0.53,1.1.1.1 search="a.example,b.example" exe=/bin/site`)
	for path, expect := range map[string]string{
		"/etc/hostname":                "web1\n",
		"/etc/resolv.conf":             "nameserver 10.0.0.53\nnameserver 1.1.1.1\nsearch a.example b.example\n",
		"/etc/nsswitch.conf":           "hosts: files dns\n",
		"/proc/sys/net/core/somaxconn": "4096\n",
		"/proc/sys/fs/pipe-max-size":   "65536\n",
		"/proc/sys/kernel/hostname":    "web1\n",
		"/etc/hosts": "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n" +
			"10.0.0.2 web1\nfd00::2 web1\n10.1.0.2 web1\n",
	} {
		if got := readAll(t, path); got != expect {
			t.Errorf("%s: %q", path, got)
		}
	}
	var buf [64]byte
	n, errno := sys(nr_readlinkat, cwd, ptr(str("/proc/self/exe")), ptr(&buf), 64)
	if string(buf[:n]) != "/bin/site" || errno != 0 {
		t.Errorf("/proc/self/exe: %q, %d", buf[:n], errno)
	}
	var u utsName
	sys(nr_uname, ptr(&u))
	if !bytes.HasPrefix(u.nodename[:], []byte("web1\x00")) || !bytes.HasPrefix(u.sysname[:], []byte("Linux\x00")) {
		t.Errorf("uname: %s", u.nodename[:])
	}
}

func TestDevices(t *testing.T) {
	reset(t)
	Hooks.Random = func(p []byte) {
		for i := range p {
			p[i] = 0x5a
		}
	}
	read := func(name string) (int, byte, error) {
		buf := []byte{1, 1, 1, 1}
		n, err := fdFile(openTest(t, "/dev/"+name, oRDWR)).Read(buf)
		return n, buf[3], err
	}
	if n, b, err := read("zero"); n != 4 || err != nil || b != 0 {
		t.Errorf("zero: %d %v %d", n, err, b)
	}
	if n, _, _ := read("null"); n != 0 {
		t.Errorf("null: %d", n)
	}
	if n, b, err := read("urandom"); n != 4 || err != nil || b != 0x5a {
		t.Errorf("urandom: %d %v %d", n, err, b)
	}
	if _, err := fdFile(openTest(t, "/dev/full", oWRONLY)).Write([]byte{1}); err != ENOSPC {
		t.Errorf("full: %v", err)
	}
	if st := statTest(t, "/dev/null"); st.mode != ModeChar|0o666 || st.rdev != 0x103 {
		t.Errorf("null: mode %o rdev %#x", st.mode, st.rdev)
	}
	_, errno := sys(nr_openat, cwd, ptr(str("/dev/tty")), oRDWR)
	want(t, errno, ENOENT)
	Hooks.Random = nil
	_, errno = sys(nr_getrandom, ptr(&[8]byte{}), 8, 0)
	want(t, errno, ENOSYS)
	if _, _, err := read("random"); err != EIO {
		t.Errorf("random without a source: %v", err)
	}
}

// TestMemoryIsReleased follows the bytes that files hold.
func TestMemoryIsReleased(t *testing.T) {
	reset(t)
	fs := rootFS()
	before := fs.held.used.Load()
	fd := openTest(t, "/tmp/big", oRDWR|oCREAT)
	buf := make([]byte, 1<<20)
	for range 4 {
		fdFile(fd).Write(buf)
	}
	sys(nr_pwrite64, fd, ptr(&buf[0]), 1, 1<<50) // sparse
	if st := statTest(t, "/tmp/big"); st.size != 1<<50+1 || st.blocks*512 > 5<<20 || fs.held.used.Load()-before > 5<<20 {
		t.Errorf("size %d blocks %d used %d", st.size, st.blocks, fs.held.used.Load()-before)
	}
	sys(nr_ftruncate, fd, 1000)
	if used := fs.held.used.Load() - before; used > 2048 {
		t.Errorf("after truncation: %d bytes in use", used)
	}
	fdFile(fd).Write(buf)
	sys(nr_unlink, ptr(str("/tmp/big")))
	if used := fs.held.used.Load() - before; used < 1<<20 {
		t.Errorf("an open file lost its contents: %d", used)
	}
	fdFile(fd).close(t)
	if fs.held.used.Load() != before {
		t.Errorf("after close: %d bytes in use", fs.held.used.Load()-before)
	}
	fd = openTest(t, "/tmp/again", oRDWR|oCREAT)
	fdFile(fd).Write(buf)
	fdFile(fd).close(t)
	sys(nr_open, ptr(str("/tmp/other")), oCREAT|oWRONLY, 0o600)
	sys(nr_rename, ptr(str("/tmp/other")), ptr(str("/tmp/again")))
	if fs.held.used.Load() != before {
		t.Errorf("after rename over it: %d bytes in use", fs.held.used.Load()-before)
	}
}

func TestFileSystemFull(t *testing.T) {
	reset(t)
	rootFS().held.limit = rootFS().held.used.Load() + 300<<10
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT)
	n, err := fdFile(fd).Write(make([]byte, 1<<20))
	if err != nil || n == 0 || n > 300<<10 {
		t.Errorf("short write: %d, %v", n, err)
	}
	if _, err = fdFile(fd).Write(make([]byte, 100<<10)); err != ENOSPC {
		t.Errorf("write: %v", err)
	}
	var s statfs
	sys(nr_fstatfs, fd, ptr(&s))
	if s.blocks == 0 || s.bfree*pageSize > 100<<10 || s.typ != tmpfsMagic {
		t.Errorf("statfs: %+v", s)
	}
	sys(nr_ftruncate, fd, 0)
	if _, err = fdFile(fd).Write(make([]byte, 100<<10)); err != nil {
		t.Errorf("after making room: %v", err)
	}
}

func TestTimes(t *testing.T) {
	reset(t)
	clock := int64(1_000_000_000_000_000_007)
	Hooks.WallNow = func() int64 { clock += 1e9; return clock }
	fd := openTest(t, "/tmp/f", oRDWR|oCREAT)
	made := statTest(t, "/tmp/f")
	fdFile(fd).Write([]byte("x"))
	written := statTest(t, "/tmp/f")
	if written.mtime == made.mtime || written.mtime != written.ctime || written.mtime.Nsec != 7 {
		t.Errorf("write: %v -> %v", made.mtime, written.mtime)
	}
	sys(nr_fchmod, fd, 0o600)
	if st := statTest(t, "/tmp/f"); st.mtime != written.mtime || st.ctime == written.ctime {
		t.Error("chmod changes ctime only")
	}
	dir := statTest(t, "/tmp")
	sys(nr_unlink, ptr(str("/tmp/f")))
	if st := statTest(t, "/tmp"); st.mtime == dir.mtime {
		t.Error("unlink does not change the directory's mtime")
	}
	set := [2]Time{{-5, 123}, {1 << 40, utimeOmit}}
	fd = openTest(t, "/tmp/g", oRDWR|oCREAT)
	made = statTest(t, "/tmp/g")
	_, errno := sys(nr_utimensat, fd, 0, ptr(&set), 0)
	want(t, errno, 0)
	if st := statTest(t, "/tmp/g"); st.atime != (Time{-5, 123}) || st.mtime != made.mtime {
		t.Errorf("utimensat: %v %v", st.atime, st.mtime)
	}
}

// TestListWhileChanging removes what it lists, as os.RemoveAll does.
func TestListWhileChanging(t *testing.T) {
	reset(t)
	sys(nr_mkdir, ptr(str("/tmp/d")), 0o755)
	const count = 1000
	for i := range count {
		fdFile(openTest(t, fmt.Sprintf("/tmp/d/file%d", i), oCREAT|oWRONLY)).close(t)
	}
	dir := openTest(t, "/tmp/d", oDIRECTORY)
	seen := map[string]bool{}
	buf := make([]byte, 300)
	for {
		n, errno := sys(nr_getdents64, dir, ptr(&buf[0]), 300)
		want(t, errno, 0)
		if n == 0 || errno != 0 {
			break
		}
		for _, e := range strings.Fields(string(names(buf[:n]))) {
			name, _, _ := strings.Cut(e, ":")
			if seen[name] {
				t.Fatalf("%s twice", name)
			}
			seen[name] = true
			if len(name) > 2 {
				_, errno := sys(nr_unlinkat, dir, ptr(str(name)), 0)
				want(t, errno, 0)
			}
		}
	}
	if len(seen) != count+2 {
		t.Errorf("%d names", len(seen))
	}
	_, errno := sys(nr_getdents64, dir, ptr(&buf[0]), 10)
	want(t, errno, 0)
	sys(nr_lseek, dir, 0, 0)
	_, errno = sys(nr_getdents64, dir, ptr(&buf[0]), 10)
	want(t, errno, EINVAL)
	_, errno = sys(nr_rmdir, ptr(str("/tmp/d")))
	want(t, errno, 0)
}

func TestSymlinkLimit(t *testing.T) {
	reset(t)
	sys(nr_symlink, ptr(str("self")), ptr(str("/tmp/self")))
	_, errno := sys(nr_openat, cwd, ptr(str("/tmp/self")), oRDONLY)
	want(t, errno, ELOOP)
	prev := "/etc/hosts"
	for i := range 41 {
		link := fmt.Sprintf("/tmp/l%d", i)
		sys(nr_symlink, ptr(str(prev)), ptr(str(link)))
		fd, errno := sys(nr_openat, cwd, ptr(str(link)), oRDONLY)
		if i < maxLinks {
			want(t, errno, 0)
			fdFile(fd).close(t)
		} else {
			want(t, errno, ELOOP)
		}
		prev = link
	}
}

func TestFlock(t *testing.T) {
	reset(t)
	a, b := openTest(t, "/tmp/f", oRDWR|oCREAT), openTest(t, "/tmp/f", oRDWR)
	lock := func(fd, op uintptr) Errno { _, errno := sys(nr_flock, fd, op); return errno }
	want(t, lock(a, lockShared), 0)
	want(t, lock(b, lockShared), 0)
	want(t, lock(b, lockExclusive|lockNonblock), EAGAIN)
	want(t, lock(b, lockUnlock), 0)
	want(t, lock(a, lockExclusive), 0)
	want(t, lock(b, lockShared|lockNonblock), EAGAIN)
	done := make(chan Errno)
	go func() { done <- lock(b, lockExclusive) }()
	select {
	case <-done:
		t.Fatal("two hold the lock")
	case <-time.After(5 * time.Millisecond):
	}
	fdFile(a).close(t)
	want(t, <-done, 0)
	want(t, lock(b, 3), EINVAL)
}

func TestMmap(t *testing.T) {
	reset(t)
	p, errno := sys(nr_mmap, 0, 10000, protRead|protWrite, mapPrivate|mapAnonymous, ^uintptr(0), 0)
	want(t, errno, 0)
	mem := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), 12288)
	if p%pageSize != 0 || mem[12287] != 0 {
		t.Fatal("not a zeroed page")
	}
	mem[5000] = 1
	sys(nr_madvise, p+pageSize, pageSize, adviseDontneed)
	if mem[5000] != 0 {
		t.Error("MADV_DONTNEED kept the contents")
	}
	_, errno = sys(nr_munmap, p+pageSize, pageSize)
	want(t, errno, 0)
	_, errno = sys(nr_msync, p, 12288, 4)
	want(t, errno, ENOMEM)
	_, errno = sys(nr_msync, p+8192, 4096, 4)
	want(t, errno, 0)
	sys(nr_munmap, p, 12288)
	if len(mapped.list) != 0 {
		t.Errorf("%d regions left", len(mapped.list))
	}
	for _, c := range []struct {
		size, prot, flags uintptr
		errno             Errno
	}{
		{0, 3, mapPrivate | mapAnonymous, EINVAL}, {100, 3, mapAnonymous, EINVAL},
		{100, 7, mapPrivate | mapAnonymous, EACCES}, {1 << 62, 3, mapPrivate | mapAnonymous, ENOMEM},
		{^uintptr(0), 3, mapPrivate | mapAnonymous, ENOMEM},
		{100, 3, mapPrivate | mapAnonymous | mapFixed, ENOMEM}, {100, 1, mapPrivate, EBADF},
	} {
		_, errno := sys(nr_mmap, 0, c.size, c.prot, c.flags, ^uintptr(0), 0)
		want(t, errno, c.errno)
	}
}

// roFS is a read-only file system with one file, for mounts.
type roFS struct{}

type roDir struct{ *roFS }

type roFile struct{ *roFS }

var theRoDir, theRoFile = roDir{&roFS{}}, roFile{&roFS{}}

func (roFS) Root() Directory { return theRoDir }
func (roFS) Usage() Usage    { return Usage{Magic: 42, BlockSize: 512} }

func (roDir) Attr() (*Attr, Errno)          { return &Attr{Ino: 1, Nlink: 2, Mode: ModeDir | 0o555}, 0 }
func (roDir) Open(uint32) (File, Errno)     { return nil, EISDIR }
func (d roDir) Parent() (Directory, string) { return d, "" }
func (roDir) Lookup(name string) (Node, Errno) {
	if name == "file" {
		return theRoFile, 0
	}
	return nil, ENOENT
}
func (roDir) Next(after int64) (Entry, bool, Errno) {
	return Entry{1, 2, ModeReg, "file"}, after < 1, 0
}

func (roFile) Attr() (*Attr, Errno) { return &Attr{Ino: 2, Nlink: 1, Mode: ModeReg | 0o444}, 0 }
func (roFile) Open(flags uint32) (File, Errno) {
	if flags&oACCMODE != oRDONLY {
		return nil, EROFS
	}
	return &devFile{read: atEnd, write: swallow}, 0
}

func TestMount(t *testing.T) {
	reset(t)
	sys(nr_mkdir, ptr(str("/tmp/m")), 0o755)
	fdFile(openTest(t, "/tmp/m/hidden", oCREAT|oWRONLY)).close(t)
	want(t, Mount("/etc/hosts", roFS{}), ENOTDIR)
	want(t, Mount("/etc/hosts/x", roFS{}), ENOTDIR)
	want(t, Mount("/tmp/x/y/../z/", roFS{}), 0)
	openTest(t, "/tmp/x/z/file", oRDONLY)
	openTest(t, "/tmp/x/y", oRDONLY|oDIRECTORY)
	want(t, Mount("/tmp/m", roFS{}), 0)
	openTest(t, "/tmp/m/file", oRDONLY)
	call := func(num uintptr, expect Errno, paths ...string) {
		t.Helper()
		paths = append(paths, "")
		_, errno := sys(num, ptr(str(paths[0])), ptr(str(paths[1])))
		want(t, errno, expect)
	}
	_, hidden := sys(nr_openat, cwd, ptr(str("/tmp/m/hidden")), oRDONLY)
	want(t, hidden, ENOENT)
	call(nr_mkdir, EROFS, "/tmp/m/x")
	call(nr_unlink, EROFS, "/tmp/m/file")
	call(nr_rmdir, EBUSY, "/tmp/m")
	call(nr_rename, EBUSY, "/tmp/m", "/tmp/n")
	call(nr_rename, EXDEV, "/tmp/m/file", "/tmp/file")
	call(nr_link, EXDEV, "/tmp/m/file", "/tmp/file")
	call(nr_chmod, EROFS, "/tmp/m/file")
	call(nr_truncate, EROFS, "/tmp/m/file")
	for _, path := range []string{"/tmp/m/file"} {
		_, errno := sys(nr_openat, cwd, ptr(str(path)), oRDWR)
		want(t, errno, EROFS)
		_, errno = sys(nr_access, ptr(str(path)), accessWrite)
		want(t, errno, EROFS)
	}
	_, errno := sys(nr_openat, cwd, ptr(str("/tmp/m/new")), oRDWR|oCREAT, 0o600)
	want(t, errno, EROFS)
	call(nr_chdir, 0, "/tmp/m")
	var buf [64]byte
	if n, _ := sys(nr_getcwd, ptr(&buf), 64); string(buf[:n]) != "/tmp/m\x00" {
		t.Errorf("getcwd: %q", buf[:n])
	}
	call(nr_chdir, 0, "..")
	if n, _ := sys(nr_getcwd, ptr(&buf), 64); string(buf[:n]) != "/tmp\x00" {
		t.Errorf("getcwd: %q", buf[:n])
	}
	if statTest(t, "/tmp/m").dev == statTest(t, "/tmp").dev {
		t.Error("a mount has no device number of its own")
	}
}

func TestMemfd(t *testing.T) {
	reset(t)
	before := rootFS().held.used.Load()
	fd, errno := sys(nr_memfd_create, ptr(str("m")), 1)
	want(t, errno, 0)
	fdFile(fd).Write([]byte("abc"))
	var st stat
	sys(nr_fstat, fd, ptr(&st))
	if st.nlink != 0 || st.size != 3 || st.mode&ModeFmt != ModeReg {
		t.Errorf("%+v", st)
	}
	fdFile(fd).close(t)
	if rootFS().held.used.Load() != before {
		t.Error("memory is not released")
	}
}

// TestCommandLine: the arguments are in /proc as Linux shows them.
func TestCommandLine(t *testing.T) {
	reset(t)
	Hooks.Args = func() []string { return []string{"/app", "-v", ""} }
	boot("")
	b := make([]byte, 64)
	n, err := fdFile(must2(t)(sys(nr_open, ptr(str("/proc/self/cmdline")), oRDONLY, 0))).Read(b)
	if got := string(b[:n]); err != nil || got != "/app\x00-v\x00\x00" {
		t.Errorf("got %q, %v", got, err)
	}
}
