package anatomy

import (
	"bytes"
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/vmtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

const hello = "../../examples/hello"

// open reads the image of hello.
func open(t *testing.T) (*Program, []byte) {
	t.Helper()
	path := vmtest.Image(t, "hvt", hello)
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return p, data
}

// plain builds hello as go does, with symbols.
func plain(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hello")
	cmd := exec.Command("go", "build", "-o", path, hello)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// write writes data to a file of the test's.
func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.img")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The functions are those that debug/gosym finds, with their lines.
func TestFunctionsAsGosymReadsThem(t *testing.T) {
	p, data := open(t)
	exe, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	table, err := exe.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	syms, err := gosym.NewTable(nil, gosym.NewLineTable(table, exe.Section(".text").Addr))
	if err != nil {
		t.Fatal(err)
	}
	if len(syms.Funcs) != len(p.Functions) || len(p.Functions) < 1000 {
		t.Fatalf("%d functions, gosym finds %d", len(p.Functions), len(syms.Funcs))
	}
	for i := range p.Functions {
		f, want := &p.Functions[i], &syms.Funcs[i]
		if f.Name != want.Name || f.Addr != want.Entry || f.Size != want.End-want.Entry {
			t.Fatalf("function %d: %s at %#x, %d bytes; gosym: %s at %#x, %d bytes", i, f.Name, f.Addr, f.Size, want.Name, want.Entry, want.End-want.Entry)
		}
		linesAsGosym(t, p, f, syms)
	}
}

// linesAsGosym compares the lines of f with those that gosym finds for each of its
// addresses.
func linesAsGosym(t *testing.T, p *Program, f *Function, syms *gosym.Table) {
	t.Helper()
	type place struct {
		file string
		line int
	}
	got, want := map[place]bool{}, map[place]bool{}
	p.Lines(f, func(file string, line int) { got[place{file, line}] = true })
	for pc := f.Addr; pc < f.Addr+f.Size; pc++ {
		if file, line, fn := syms.PCToLine(pc); fn != nil && line > 0 && file != "" {
			want[place{file, line}] = true
		}
	}
	for w := range want {
		if !got[w] {
			t.Fatalf("%s: line %v is missing; have %v", f.Name, w, got)
		}
	}
	for g := range got {
		if !want[g] {
			t.Fatalf("%s: line %v is too many; gosym has %v", f.Name, g, want)
		}
	}
}

// A program with symbols says the same: where functions are, and how many bytes
// the descriptors of types have.
func TestAgainstSymbols(t *testing.T) {
	path := plain(t)
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if p.Note != nil || p.NoteProblem == "" {
		t.Errorf("a plain program has the note %v, problem %q", p.Note, p.NoteProblem)
	}
	exe, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	symbols, err := exe.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	sizes := map[uint64]uint64{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			sizes[s.Value] = max(sizes[s.Value], s.Size)
		}
	}
	for _, f := range p.Functions {
		if size, ok := sizes[f.Addr]; !ok || size > f.Size || f.Size > size+64 {
			t.Errorf("%s is at %#x with %d bytes; a symbol there: %v, with %d", f.Name, f.Addr, f.Size, ok, size)
		}
	}
	parts := p.Sizes.Parts()
	if parts[Symbols] == 0 || p.Sizes.Total() != p.Size {
		t.Errorf("parts %v add up to %d of %d bytes", parts, p.Sizes.Total(), p.Size)
	}
	typesAgainstSymbols(t, p, symbols)
	i := slices.IndexFunc(p.Functions, func(f Function) bool { return f.Name == "runtime.main" })
	if i < 0 || p.Functions[i].File != "runtime/proc.go" {
		t.Errorf("runtime.main, built without -trimpath, is function %d, or not in its file", i)
	}
}

// typesAgainstSymbols compares the bytes of types with the linker's symbols for
// where they begin and where the strings behind them do.
func typesAgainstSymbols(t *testing.T, p *Program, symbols []elf.Symbol) {
	t.Helper()
	at := map[string]uint64{}
	for _, s := range symbols {
		at[s.Name] = s.Value
	}
	from, to := at["type:*"], at["go:string.*"]
	t.Logf("types from %#x to %#x", from, to)
	got, room := p.Sizes.Parts()[Types], to-from
	if from == 0 || to <= from || got > room*11/10 || got < room*8/10 {
		t.Errorf("%d bytes of types, the linker has %d", got, room)
	}
}

// Every byte of the file is somebody's, once.
func TestSizesAddUp(t *testing.T) {
	p, data := open(t)
	if p.Size != uint64(len(data)) || p.Sizes.Total() != p.Size {
		t.Errorf("%d bytes are accounted for, the file has %d", p.Sizes.Total(), len(data))
	}
	parts := p.Sizes.Parts()
	var code uint64
	for _, f := range p.Functions {
		code += f.Size
	}
	if parts[Code] != code {
		t.Errorf("%d bytes of code, the functions have %d", parts[Code], code)
	}
	if limit := p.Size / 100; parts[Padding] > limit || parts[Headers] > limit {
		t.Errorf("more than 1 %% of the file is padding (%d) or headers (%d)", parts[Padding], parts[Headers])
	}
	exe, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if want := exe.Section(".gopclntab").Size; parts[Tables] != want {
		t.Errorf("%d bytes of function tables, the section has %d", parts[Tables], want)
	}
}

// Packages are those of Go, whatever names the compiler makes up.
func TestPackageOf(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"net/http.(*Server).Serve", "net/http/server.go", "net/http"},
		{"main.main", "example.com/m/main.go", "main"},
		{"gopkg.in/yaml%2ev3.Marshal", "gopkg.in/yaml.v3@v3.0.1/yaml.go", "gopkg.in/yaml.v3"},
		{"slices.SortFunc[go.shape.[]example.com/m/x.T,go.shape.int]", "slices/sort.go", "slices"},
		{"type:.eq.net/http.conn", "<autogenerated>", "net/http"},
		{"type:.eq.[2]net/http.conn", "<autogenerated>", ""},
		{"type:.eq.go.shape.struct { a/b.c int }", "<autogenerated>", ""},
		{"go:struct { io.Reader }.Read", "<autogenerated>", ""},
		{"memeqbody", "internal/bytealg/equal_amd64.s", "internal/bytealg"},
		{"example.com/a.b/c.F", "", "example.com/a.b/c"},
	} {
		if got := packageOf(c.name, c.file); got != c.want {
			t.Errorf("packageOf(%q, %q) = %q, want %q", c.name, c.file, got, c.want)
		}
	}
}

// An image without its table of sections says the same of its functions.
func TestWithoutSections(t *testing.T) {
	p, data := open(t)
	binary.LittleEndian.PutUint64(data[40:], 0)                               // e_shoff
	clear(data[60:64])                                                        // e_shnum, e_shstrndx
	data = bytes.ReplaceAll(data, []byte(".gopclntab"), []byte("..........")) // its name
	q, err := Open(write(t, data))
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Functions) != len(p.Functions) || q.Sizes.Total() != q.Size {
		t.Errorf("%d functions, not %d; %d of %d bytes", len(q.Functions), len(p.Functions), q.Sizes.Total(), q.Size)
	}
	for _, part := range []Part{Code, Tables} {
		if a, b := p.Sizes.Parts()[part], q.Sizes.Parts()[part]; a != b {
			t.Errorf("%s: %d bytes, not %d", part, b, a)
		}
	}
}

// What is no program of Go's is refused, with what to do.
func TestOthers(t *testing.T) {
	_, data := open(t)
	noTable := bytes.ReplaceAll(data, []byte{0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8}, make([]byte, 8))
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"empty":      {nil, "is empty"},
		"text":       {[]byte("not an image\n"), "is not a Tailor image"},
		"head":       {data[:40], "is truncated"},
		"half":       {data[:len(data)/2], "truncated"},
		"last bytes": {data[:len(data)-10], "truncated"},
		"no table":   {noTable, "no table of functions"},
	} {
		_, err := Open(write(t, c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, c.want)
		} else if hint.Of(err) == "" {
			t.Errorf("%s: no hint with: %v", name, err)
		}
	}
	if _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder is taken for an image")
	}
}

// dissected reads what may be a program.
func dissected(data []byte) *Program {
	exe, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil
	}
	p := &Program{Size: uint64(len(data))}
	if p.dissect(exe) != nil {
		return nil
	}
	return p
}

// checkDissected checks what holds for every file.
func checkDissected(t *testing.T, data []byte) {
	p := dissected(data)
	if p == nil {
		return
	}
	if p.Sizes.Total() != uint64(len(data)) {
		t.Errorf("%d bytes are accounted for, the file has %d", p.Sizes.Total(), len(data))
	}
	for i := range p.Functions {
		p.Lines(&p.Functions[i], func(string, int) {})
		p.Inlined(&p.Functions[i], func(name string) { Split(name) })
	}
}

// Damaged images do no harm: each is refused, or adds up.
func TestDamaged(t *testing.T) {
	p, data := open(t)
	if dissected(data) == nil {
		t.Fatal("the image itself is refused")
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	exe, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	table, module := exe.Section(".gopclntab").Offset, exe.Section(".go.module").Offset
	places := []struct{ from, size uint64 }{
		{0, 2048}, {table, headerSize}, {table + p.tab.funcs, 4096}, {table + p.tab.pcs, 4096}, {module, 512}, {exe.Section(".rodata").Offset, 1 << 16},
	}
	for range 40 {
		for _, place := range places {
			bad := bytes.Clone(data)
			for range 1 + rnd.IntN(8) {
				bad[place.from+rnd.Uint64N(place.size)] = byte(rnd.Uint32())
			}
			checkDissected(t, bad)
		}
	}
}

// FuzzDissect reads hostile programs.
func FuzzDissect(f *testing.F) {
	f.Add(tiny())
	f.Fuzz(checkDissected)
}

// Certificates are a bundle if they are many, and whole.
func TestCertificates(t *testing.T) {
	one := append([]byte{0x30, 0x82, 0, 20, 0x30, 0x82, 0, 16, 0xa0, 3, 2, 1, 2}, make([]byte, 11)...)
	some := append([]byte("before"), bytes.Repeat(one, minRoots)...)
	if from, to := certificates(append(some, "behind"...)); from != 6 || to != uint64(6+len(one)*minRoots) {
		t.Errorf("certificates are from %d to %d", from, to)
	}
	for _, b := range [][]byte{nil, one, bytes.Repeat(one, minRoots-1), some[:len(some)-1], {0xa0, 3, 2, 1, 2}} {
		if from, to := certificates(b); from != to {
			t.Errorf("%d bytes hold certificates from %d to %d", len(b), from, to)
		}
	}
}

// Claims that overlap count once, and those of a higher level first.
func TestLedger(t *testing.T) {
	l := &ledger{size: 100}
	a, b, c := Owner{Part: Code, Package: "a"}, Owner{Part: Code, Package: "b"}, Owner{Part: Tables}
	l.claim(levelSegment, 0, 90, c)
	l.claim(levelThing, 10, 30, a)
	l.claim(levelThing, 20, 40, b)
	l.claim(levelThing, 95, 101, b) // not in the file
	l.claim(levelSection, 25, 50, a)
	l.claim(levelSection, 85, 95, b)
	want := Sizes{a: 20 + 10, b: 10 + 10, c: 90 - 40 - 5, {Part: Padding}: 5}
	got := l.sum()
	for o, n := range want {
		if got[o] != n {
			t.Errorf("%v has %d bytes, want %d", o, got[o], n)
		}
	}
	if got.Total() != 100 {
		t.Errorf("%v adds up to %d", got, got.Total())
	}
}
