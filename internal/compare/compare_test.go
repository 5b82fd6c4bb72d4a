package compare

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/vmtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

const hello = "../../examples/hello"

// build builds hello with flags.
func build(t *testing.T, name string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	args := append(append([]string{"build", "-o", path}, flags...), hello)
	if out, err := exec.Command(vmtest.Tool(t), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return path
}

func compared(t *testing.T, a, b string) *Report {
	t.Helper()
	r, err := Files(a, b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(list []Change, name string) *Change {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func TestSame(t *testing.T) {
	a := vmtest.Image(t, "hvt", hello)
	r := compared(t, a, a)
	if !r.Same || r.First != nil || r.A.SHA256 != r.B.SHA256 || r.A.Package == "" || len(r.Functions)+len(r.Settings) > 0 {
		t.Errorf("%+v", r)
	}
}

// What only the note says is in the note alone.
func TestTargets(t *testing.T) {
	r := compared(t, vmtest.Image(t, "hvt", hello), build(t, "a.img", "-t", "spt"))
	if want := []string{"note: flags", "note: target"}; !reflect.DeepEqual(names(r.Settings), want) || r.Where != "a note" && r.Where != "the headers" {
		t.Errorf("%+v, first in %s", r.Settings, r.Where)
	}
	if r.Same || len(r.Functions)+len(r.Services)+len(r.Modules)+len(r.Sections) > 0 {
		t.Errorf("%+v", r)
	}
}

func names(list []Change) (names []string) {
	for _, c := range list {
		names = append(names, c.Name)
	}
	return names
}

func TestServicesAndFunctions(t *testing.T) {
	r := compared(t, vmtest.Image(t, "hvt", hello), build(t, "a.img", "--needs", "data"))
	added := map[string]bool{}
	for _, s := range r.Services {
		added[s.Name] = s.A == "" && s.B != "" && s.ABytes == 0 && s.BBytes > 0
	}
	if !added["ext4"] || !added["virtio block"] || added["console"] {
		t.Errorf("services %+v", r.Services)
	}
	if c := find(r.Settings, "note: devices"); c == nil || c.A != "" || c.B != "block data" {
		t.Errorf("settings %+v", r.Settings)
	}
	sums := map[string]*PackageChange{}
	for _, f := range r.Functions {
		p := sums[f.Package]
		if p == nil {
			p = &PackageChange{}
			sums[f.Package] = p
		}
		p.add(&f)
	}
	ext4 := false
	for _, p := range r.Packages {
		s := sums[p.Package]
		if s.Added != p.Added || s.Removed != p.Removed || s.Changed != p.Changed || p.B-p.A != s.B-s.A {
			t.Errorf("package %+v, its functions %+v", p, s)
		}
		ext4 = ext4 || p.Package == "Tailor/volume/ext4" && p.Added > 100 && p.A == 0
	}
	if !ext4 || len(sums) != len(r.Packages) {
		t.Errorf("packages %+v", r.Packages)
	}
}

// Files that images carry are compared by what they are, on each target.
func TestPackedFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"one/same": "s", "one/old": "o", "one/text": "1", "two/same": "s", "two/new": "n", "two/text": "2"} {
		os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range []string{"hvt", "virtio"} {
		a := build(t, "a.img", "-t", target, "--file", dir+"/one:/d")
		b := build(t, "a.img", "-t", target, "--file", dir+"/two:/d")
		r := compared(t, a, b)
		var got []string
		for _, f := range r.Files {
			switch {
			case f.A == nil:
				got = append(got, "+"+f.Path)
			case f.B == nil:
				got = append(got, "-"+f.Path)
			case f.A.SHA256 != f.B.SHA256 && f.A.Bytes == 1:
				got = append(got, f.Path)
			}
		}
		if want := []string{"+/d/new", "-/d/old", "/d/text"}; !reflect.DeepEqual(got, want) || len(r.Files) != 3 {
			t.Errorf("%s: %q", target, got)
		}
		if find(r.Settings, "note: files") == nil {
			t.Errorf("%s: settings %+v", target, r.Settings)
		}
	}
}

// A byte of code that is another is found in its function, though no size is.
func TestCodeOfTheSameSize(t *testing.T) {
	a := vmtest.Image(t, "hvt", hello)
	data, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	text := bytes.Index(data, []byte("Hello")) // in read-only data
	if text < 0 {
		t.Fatal("no text in hello")
	}
	for _, c := range []struct {
		at       int
		function string
	}{{text, ""}, {0x2000, "?"}} {
		changed := bytes.Clone(data)
		changed[c.at] ^= 1
		b := filepath.Join(t.TempDir(), "b.img")
		if err := os.WriteFile(b, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		r := compared(t, a, b)
		if *r.First != int64(c.at) || len(r.Sections) != 1 || r.Sections[0].Differ != 1 || len(r.Functions) > 0 {
			t.Fatalf("byte %d: %+v", c.at, r)
		}
		if c.function == "" && r.Where != "section .rodata" || c.function != "" && !reflect.DeepEqual(r.Sections[0].Functions, []string{r.Where}) {
			t.Errorf("byte %d: first in %s, functions %q", c.at, r.Where, r.Sections[0].Functions)
		}
		if brief := strings.Join(r.Brief(), "\n"); !strings.Contains(brief, "1 of them differ") {
			t.Errorf("brief: %s", brief)
		}
	}
}

// A forged note is told, and what it says is not what the bytes say.
func TestForgedNote(t *testing.T) {
	a := vmtest.Image(t, "hvt", hello)
	data, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte(`"go":"go1`))
	copy(data[at:], `"go":"go9`)
	b := filepath.Join(t.TempDir(), "b.img")
	if err := os.WriteFile(b, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := compared(t, a, b)
	if find(r.Settings, "Go") != nil || find(r.Settings, "note: Go") == nil || !strings.Contains(strings.Join(r.Unknown, "\n"), "whether the note of "+b+" is right") {
		t.Errorf("settings %+v, unknown %q", r.Settings, r.Unknown)
	}
}

// Damaged images are errors or reports, never a crash.
func TestDamaged(t *testing.T) {
	a := vmtest.Image(t, "hvt", hello)
	data, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	b, rng := filepath.Join(t.TempDir(), "b.img"), rand.New(rand.NewPCG(7, 7))
	for i := range 40 {
		changed := bytes.Clone(data)
		for range 8 {
			at := rng.IntN(len(changed))
			if i%2 == 0 {
				at = rng.IntN(2048) // the headers
			}
			changed[at] = byte(rng.Uint32())
		}
		if i%5 == 0 {
			changed = changed[:rng.IntN(len(changed))]
		}
		if err := os.WriteFile(b, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := Files(a, b)
		if err == nil && r.Same {
			t.Errorf("%d: a damaged image is the same", i)
		}
		if err == nil {
			err = r.WriteText(new(bytes.Buffer), 80, true)
		}
		if i%5 == 0 && err == nil {
			t.Errorf("%d: a truncated image is none", i)
		}
	}
}

// Disks are compared as bytes.
func TestDisks(t *testing.T) {
	a := build(t, "a.raw", "-t", "virtio", "--format", "raw", "--params", "hostname=a")
	b := build(t, "b.raw", "-t", "virtio", "--format", "raw", "--params", "hostname=b")
	same := build(t, "a.raw", "-t", "virtio", "--format", "raw", "--params", "hostname=a")
	if r := compared(t, a, b); r.Same || *r.First == 0 || r.Where != "the disk" || len(r.Unknown) != 1 {
		t.Errorf("%+v", r)
	}
	if r := compared(t, a, same); !r.Same {
		t.Errorf("the same disk of another folder: %+v", r)
	}
	_, err := Files(a, vmtest.Image(t, "hvt", hello))
	if err == nil || !strings.Contains(err.Error(), "is a disk") || !strings.Contains(hint.Of(err), "without --format") {
		t.Errorf("a disk compared with an image: %v, hint %q", err, hint.Of(err))
	}
}
