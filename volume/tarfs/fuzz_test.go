package tarfs

import (
	"archive/tar"
	"bytes"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/block/blocktest"
)

func seeds(add func(...any)) {
	f := &testing.T{}
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		add(pack(f, format, e{tar.TypeDir, "d/", ""}, e{tar.TypeReg, "d/a", "A"}, e{tar.TypeLink, "b", "d/a"}, e{tar.TypeSymlink, "s", "d"}))
	}
	long := string(bytes.Repeat([]byte("long/"), 60))
	for _, format := range []tar.Format{tar.FormatPAX, tar.FormatGNU} {
		add(pack(f, format, e{tar.TypeReg, long + "x", "A"}, e{tar.TypeSymlink, "s", long}))
	}
}

// repaired returns b with right checksums, so that the fuzzer gets past them.
func repaired(b []byte) []byte {
	b = blocktest.Of(b).Data
	for i := 0; i < len(b); i += blockSize {
		if !isZero(b[i:i+blockSize]) && (i == 0 || string(b[i+257:i+262]) == "ustar") {
			resum(b[i:])
		}
	}
	return b
}

// FuzzOpen: whatever is on a device, opening it ends, and what is in it is a
// tree of names that directories can have, with contents on the device.
func FuzzOpen(f *testing.F) {
	seeds(f.Add)
	f.Fuzz(func(t *testing.T, b []byte) { checkTree(t, b) })
}

func checkTree(t *testing.T, b []byte) {
	if len(b) > 1<<17 {
		return
	}
	m := blocktest.Of(repaired(b))
	fs, err := Open(m)
	if err != nil {
		return
	}
	seen := map[Ino]bool{}
	names := 0
	var walk func(dir Ino)
	walk = func(dir Ino) {
		if seen[dir] {
			t.Fatal("a directory has two names")
		}
		seen[dir] = true
		last := ""
		for n := 0; ; n++ {
			name, ino, ok := fs.Entry(dir, n)
			if !ok {
				return
			}
			names++
			if _, why := clean(name); why != "" || name == "" || name == "." || name <= last {
				t.Fatalf("name %q after %q: %s", name, last, why)
			}
			last = name
			switch i := fs.Stat(ino); i.Mode & TypeMask {
			case TypeDir:
				walk(ino)
			case TypeRegular:
				if n, err := fs.ReadAt(ino, make([]byte, i.Size), 0); err != nil || int64(n) != i.Size {
					t.Fatalf("%q: %d of %d bytes, %v", name, n, i.Size, err)
				}
			}
		}
	}
	walk(0)
	if names+1 != fs.Len() {
		t.Fatalf("%d names can be reached, there are %d", names, fs.Len()-1)
	}
}

// FuzzReader: an entry that both we and Go's package archive/tar read is the
// same.
func FuzzReader(f *testing.F) {
	seeds(f.Add)
	f.Fuzz(func(t *testing.T, b []byte) { checkReader(t, b) })
}

func checkReader(t *testing.T, b []byte) {
	if len(b) > 1<<17 {
		return
	}
	b = repaired(b)
	theirs := tar.NewReader(bytes.NewReader(b))
	ours := reader{d: blocktest.Of(b)}
	for {
		want, err := theirs.Next()
		h, err2 := ours.next()
		if err == io.EOF && err2 == nil && h != nil {
			t.Fatalf("there is no entry any more, and we read %+v", h)
		}
		if err != nil || err2 != nil || h == nil || want.Typeflag == tar.TypeXGlobalHeader || h.why != "" {
			return
		}
		same(t, want, h)
		if h.kind != kindFile {
			continue
		}
		text, err := io.ReadAll(theirs)
		if err == nil && !bytes.Equal(text, b[h.data:h.data+h.size]) {
			t.Fatalf("%q has other contents", h.name)
		}
	}
}

// TestMutations runs the two on archives with some bytes changed, which is more
// likely to be in headers than what a fuzzer tries first.
func TestMutations(t *testing.T) {
	var good [][]byte
	seeds(func(args ...any) { good = append(good, args[0].([]byte)) })
	r := rand.New(rand.NewPCG(1, 2))
	alphabet := []byte("\x00 /.01257xgLKSab=\n\x80\xff")
	for range 20_000 {
		b := bytes.Clone(good[r.IntN(len(good))])
		for range 1 + r.IntN(4) {
			b[r.IntN(len(b))] = alphabet[r.IntN(len(alphabet))]
		}
		if r.IntN(4) == 0 { // the type of an entry
			b[r.IntN(len(b)/512)*512+156] = alphabet[r.IntN(len(alphabet))]
		}
		checkTree(t, b)
		checkReader(t, b)
		if t.Failed() {
			t.Fatalf("%q", b)
		}
	}
}

func same(t *testing.T, want *tar.Header, h *header) {
	t.Helper()
	kind := want.Typeflag
	if kind == tar.TypeCont {
		kind = tar.TypeReg
	}
	// archive/tar believes GNU headers to have a prefix where times are malformed,
	// since it once wrote such itself.
	old := want.Format == tar.FormatUnknown && strings.HasSuffix(want.Name, "/"+h.name)
	switch {
	case h.name != want.Name && !old, h.kind != kind, h.mode != uint32(want.Mode), h.uid != uint32(want.Uid), h.gid != uint32(want.Gid),
		(kind == tar.TypeLink || kind == tar.TypeSymlink) && h.link != want.Linkname,
		kind == tar.TypeReg && h.size != want.Size,
		h.sec != want.ModTime.Unix(), int(h.nsec) != want.ModTime.Nanosecond():
		t.Fatalf("we read %+v, archive/tar %+v", h, want)
	}
}
