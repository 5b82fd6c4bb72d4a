package libos

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// lowerTree makes files below, and mounts an overlay over them at /w/x. Calls
// to what is below are counted.
func lowerTree(t *testing.T) (below *memFS, count *counter) {
	t.Helper()
	reset(t)
	below, count = newMemFS(), new(counter)
	sub := below.root.subdir("sub")
	sub.subdir("deep").write("f", "in the deep")
	sub.write("one", "one")
	below.root.write("file", "contents")
	n, _ := below.root.Lookup("file")
	below.root.Link("hard", n)
	below.root.write("big", strings.Repeat("0123456789abcdef", 3*chunkSize/16+5))
	below.root.Create("link", &Attr{Mode: ModeLink | 0o777}, "sub/one")
	fs, errno := Overlay(countedDir{below.root, count})
	want(t, errno, 0)
	want(t, Mount("/w/x", fs), 0)
	must2(t)(sys(nr_chdir, ptr(str("/w/x"))))
	return below, count
}

// A counter counts the calls to a tree below.
type counter struct{ lookups, lists, reads int }

type countedDir struct {
	*memDir
	count *counter
}

func (d countedDir) Lookup(name string) (Node, Errno) {
	d.count.lookups++
	n, errno := d.memDir.Lookup(name)
	switch n := n.(type) {
	case *memDir:
		return countedDir{n, d.count}, errno
	case *memFile:
		return countedFile{n, d.count}, errno
	}
	return n, errno
}

func (d countedDir) Next(after int64) (Entry, bool, Errno) {
	d.count.lists++
	return d.memDir.Next(after)
}

type countedFile struct {
	*memFile
	count *counter
}

func (f countedFile) Open(flags uint32) (File, Errno) {
	o, errno := f.memFile.Open(flags)
	if errno != 0 {
		return nil, errno
	}
	return countedOpen{o.(*memOpen), f.count}, 0
}

type countedOpen struct {
	*memOpen
	count *counter
}

func (o countedOpen) ReadAt(p []byte, off int64) (int, Errno) {
	o.count.reads++
	return o.memOpen.ReadAt(p[:min(len(p), 10000)], off)
}

func lowerFileOf(t *testing.T, fs *memFS, name string) *memFile {
	t.Helper()
	n, errno := fs.root.Lookup(name)
	want(t, errno, 0)
	return n.(*memFile)
}

func TestOverlayIsLazy(t *testing.T) {
	_, count := lowerTree(t)
	if *count != (counter{}) {
		t.Errorf("the mount alone: %+v", *count)
	}
	fd := openTest(t, "sub/deep/f", oRDONLY)
	if *count != (counter{lookups: 3}) {
		t.Errorf("one open: %+v", *count)
	}
	openTest(t, "sub/deep/f", oRDONLY)
	if *count != (counter{lookups: 3}) {
		t.Errorf("another open: %+v", *count)
	}
	var b [20]byte
	if n, _ := fdFile(fd).Read(b[:]); string(b[:n]) != "in the deep" {
		t.Errorf("%q", b[:n])
	}
	before := *count
	var buf [4096]byte
	must2(t)(sys(nr_getdents64, openTest(t, ".", oRDONLY), ptr(&buf), 4096))
	if count.lookups != before.lookups || count.lists == 0 {
		t.Errorf("listing looks names up: %+v", *count)
	}
	before = *count
	_, errno := sys(nr_access, ptr(str("none")), 0)
	want(t, errno, ENOENT)
	if *count != before {
		t.Errorf("a missing name of a listed directory: %+v, before %+v", *count, before)
	}
}

func TestOverlayCopiesUpByParts(t *testing.T) {
	below, _ := lowerTree(t)
	used := memBudget.used.Load()
	whole := readFileTest(t, "big")
	fd := openTest(t, "big", oRDWR)
	if d := memBudget.used.Load() - used; d != 0 {
		t.Errorf("reading takes %d bytes", d)
	}
	must2(t)(sys(nr_pwrite64, fd, ptr(str("XY")), 2, chunkSize+10))
	if d := memBudget.used.Load() - used; d != chunkSize {
		t.Errorf("writing two bytes takes %d bytes", d)
	}
	expect := append([]byte(nil), whole...)
	copy(expect[chunkSize+10:], "XY")
	if !bytes.Equal(readFileTest(t, "big"), expect) {
		t.Error("wrong contents after a write")
	}
	// Shorter and longer again: what was cut off does not come back.
	must2(t)(sys(nr_ftruncate, fd, 100))
	must2(t)(sys(nr_ftruncate, fd, 2*chunkSize))
	expect = append(expect[:100:100], make([]byte, 2*chunkSize-100)...)
	if !bytes.Equal(readFileTest(t, "big"), expect) {
		t.Error("wrong contents after truncation")
	}
	must2(t)(sys(nr_pwrite64, fd, ptr(str("Z")), 1, 200))
	expect[200] = 'Z'
	if !bytes.Equal(readFileTest(t, "big"), expect) {
		t.Error("wrong contents after a write behind the cut")
	}
	fdFile(fd).close(t)
	must2(t)(sys(nr_unlink, ptr(str("big"))))
	if d := memBudget.used.Load() - used; d != 0 {
		t.Errorf("%d bytes are left of a removed file", d)
	}
	f := lowerFileOf(t, below, "big")
	if f.attr.Size != int64(len(whole)) || f.opens != 0 {
		t.Errorf("below: size %d, %d opens", f.attr.Size, f.opens)
	}
}

func readFileTest(t testing.TB, path string) []byte {
	t.Helper()
	fd := openTest(t, path, oRDONLY)
	defer fdFile(fd).close(t)
	var all []byte
	buf := make([]byte, 30000)
	for {
		n, err := fdFile(fd).Read(buf)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, buf[:n]...)
	}
}

func TestOverlayFull(t *testing.T) {
	lowerTree(t)
	whole := readFileTest(t, "big")
	memBudget.limit = memBudget.used.Load() + 2*chunkSize
	fd := openTest(t, "big", oWRONLY)
	for i := range int64(2) {
		must2(t)(sys(nr_pwrite64, fd, ptr(str("X")), 1, uintptr(i<<chunkShift)))
	}
	_, errno := sys(nr_pwrite64, fd, ptr(str("X")), 1, 2*chunkSize)
	want(t, errno, ENOSPC)
	whole[0], whole[chunkSize] = 'X', 'X'
	if !bytes.Equal(readFileTest(t, "big"), whole) {
		t.Error("a failed write changed the file")
	}
	must2(t)(sys(nr_ftruncate, fd, 0))
}

func TestOverlayIdentity(t *testing.T) {
	below, _ := lowerTree(t)
	file, hard := statTest(t, "file"), statTest(t, "hard")
	if file.ino != hard.ino || file.dev != hard.dev || file.nlink != 2 {
		t.Errorf("two names of one file: %+v, %+v", file, hard)
	}
	if file.dev == statTest(t, "/tmp").dev {
		t.Error("the device number is that of the root")
	}
	fd := openTest(t, "hard", oWRONLY|oAPPEND)
	fdFile(fd).Write([]byte(" more"))
	if got := readAll(t, "file"); got != "contents more" {
		t.Errorf("through the other name: %q", got)
	}
	must2(t)(sys(nr_rename, ptr(str("file")), ptr(str("sub/moved"))))
	if st := statTest(t, "sub/moved"); st.ino != file.ino {
		t.Errorf("renaming made another file: %d, was %d", st.ino, file.ino)
	}
	must2(t)(sys(nr_unlink, ptr(str("hard"))))
	if st := statTest(t, "sub/moved"); st.nlink != 1 {
		t.Errorf("%d links", st.nlink)
	}
	new1 := statTest(t, "/w/x")
	fdFile(openTest(t, "new", oCREAT|oWRONLY)).close(t)
	if new2 := statTest(t, "new"); new2.ino == new1.ino || new2.ino == file.ino {
		t.Error("a new file has the number of another")
	}
	if got := lowerFileOf(t, below, "hard"); string(got.first) != "contents" || got.attr.Nlink != 2 {
		t.Errorf("below: %q, %d links", got.first, got.attr.Nlink)
	}
}

func TestOverlayDirectories(t *testing.T) {
	lowerTree(t)
	call := func(num uintptr, expect Errno, paths ...string) {
		t.Helper()
		paths = append(paths, "")
		_, errno := sys(num, ptr(str(paths[0])), ptr(str(paths[1])))
		want(t, errno, expect)
	}
	if got := readAll(t, "link"); got != "one" {
		t.Errorf("through a link: %q", got)
	}
	call(nr_rmdir, ENOTEMPTY, "sub")
	call(nr_mkdir, EEXIST, "sub")
	call(nr_rename, 0, "sub", "renamed")
	call(nr_rename, ENOENT, "sub", "again")
	if got := readAll(t, "renamed/deep/f"); got != "in the deep" {
		t.Errorf("in a renamed directory: %q", got)
	}
	call(nr_mkdir, 0, "sub")
	if got := list(t, "sub"); got != "" {
		t.Errorf("a new directory in the place of another has %s", got)
	}
	call(nr_rename, ENOTEMPTY, "sub", "renamed")
	call(nr_unlink, 0, "renamed/deep/f")
	call(nr_rmdir, 0, "renamed/deep")
	call(nr_unlink, 0, "renamed/one")
	call(nr_rename, 0, "sub", "renamed")
	call(nr_rmdir, 0, "renamed")
	if got := list(t, "."); got != "big:8 file:8 hard:8 link:10" {
		t.Errorf("left: %s", got)
	}
}

// list returns the names and types in a directory but for "." and "..".
func list(t *testing.T, path string) string {
	t.Helper()
	var buf [4096]byte
	n := must2(t)(sys(nr_getdents64, openTest(t, path, oRDONLY), ptr(&buf), 4096))
	return strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(string(names(buf[:n])), "..:4", ""), ".:4", ""))
}

func TestOverlayMapsFiles(t *testing.T) {
	lowerTree(t)
	whole := readFileTest(t, "big")
	fd := openTest(t, "big", oRDONLY)
	addr := must2(t)(sys(nr_mmap, 0, uintptr(len(whole)), protRead, mapTheFile, fd, 0))
	fdFile(fd).close(t)
	got := memoryAt(addr, len(whole))
	if !bytes.Equal(got, whole) {
		t.Error("wrong bytes in the mapping")
	}
	fd = openTest(t, "big", oWRONLY)
	must2(t)(sys(nr_pwrite64, fd, ptr(str("new")), 3, 0))
	if string(got[:3]) != "new" {
		t.Error("a write is not seen through the mapping")
	}
	must2(t)(sys(nr_munmap, addr, uintptr(len(whole))))
}

// brokenDir is a tree whose names cannot be read.
type brokenDir struct{ *memDir }

func (brokenDir) Lookup(string) (Node, Errno)            { return nil, EIO }
func (brokenDir) Next(int64) (e Entry, ok bool, _ Errno) { return e, false, EIO }

func TestOverlayPassesErrors(t *testing.T) {
	reset(t)
	fs, errno := Overlay(brokenDir{newMemFS().root})
	want(t, errno, 0)
	want(t, Mount("/w", fs), 0)
	for _, path := range []string{"/w/a", "/w/a/b"} {
		_, errno := sys(nr_openat, cwd, ptr(str(path)), oRDWR|oCREAT, 0o600)
		want(t, errno, EIO)
		_, errno = sys(nr_unlink, ptr(str(path)))
		want(t, errno, EIO)
		_, errno = sys(nr_rename, ptr(str(path)), ptr(str("/w/c")))
		want(t, errno, EIO)
	}
	var buf [256]byte
	_, errno = sys(nr_getdents64, openTest(t, "/w", oRDONLY), ptr(&buf), 10)
	want(t, errno, EINVAL)
	n, errno := sys(nr_getdents64, openTest(t, "/w", oRDONLY), ptr(&buf), 256)
	if errno != 0 || n != 48 { // "." and ".." come first
		t.Errorf("listing: %d, errno %d", n, errno)
	}
}
