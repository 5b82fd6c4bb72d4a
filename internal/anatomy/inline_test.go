package anatomy

import (
	"debug/dwarf"
	"debug/elf"
	"testing"
)

// What was inlined into each function is what the compiler's debug information says.
func TestInlinedAsDwarfHasIt(t *testing.T) {
	path := plain(t)
	p, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	want := dwarfInlined(t, path)
	inlined, missing, more := 0, 0, 0
	for i := range p.Functions {
		f := &p.Functions[i]
		got := map[string]bool{}
		if !p.Inlined(f, func(name string) { got[name] = true; inlined++ }) {
			t.Fatalf("what was inlined into %s cannot be read", f.Name)
		}
		for name := range want[f.Addr] {
			if !got[name] {
				missing++
				t.Logf("%s: %s is missing", f.Name, name)
			}
		}
		for name := range got {
			if len(want[f.Addr]) > 0 && !want[f.Addr][name] {
				more++
				t.Logf("%s: %s is more", f.Name, name)
			}
		}
	}
	if inlined < 1000 || missing > 0 || more > 0 {
		t.Errorf("%d functions were inlined; by debug information, %d are missing and %d too many", inlined, missing, more)
	}
}

// dwarfInlined maps addresses of functions to the names of those inlined into them.
func dwarfInlined(t *testing.T, path string) map[uint64]map[string]bool {
	t.Helper()
	exe, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	data, err := exe.DWARF()
	if err != nil {
		t.Fatal(err)
	}
	list, names, origins := map[uint64]map[string]bool{}, map[dwarf.Offset]string{}, map[uint64][]dwarf.Offset{}
	addr := uint64(0)
	for r := data.Reader(); ; {
		e, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if e == nil {
			break
		}
		switch e.Tag {
		case dwarf.TagSubprogram:
			if name, ok := e.Val(dwarf.AttrName).(string); ok {
				names[e.Offset] = name
			}
			if low, ok := e.Val(dwarf.AttrLowpc).(uint64); ok {
				addr = low
			}
		case dwarf.TagInlinedSubroutine:
			if origin, ok := e.Val(dwarf.AttrAbstractOrigin).(dwarf.Offset); ok {
				origins[addr] = append(origins[addr], origin)
			}
		}
	}
	for addr, offsets := range origins {
		list[addr] = map[string]bool{}
		for _, off := range offsets {
			list[addr][names[off]] = true
		}
	}
	if len(list) < 100 {
		t.Fatalf("debug information of %d functions", len(list))
	}
	return list
}

// Names are split as vulnerability databases have them.
func TestSplit(t *testing.T) {
	for _, c := range []struct{ name, pkg, symbol string }{
		{"net/http.(*Server).Serve", "net/http", "Server.Serve"},
		{"net/http.HandlerFunc.ServeHTTP", "net/http", "HandlerFunc.ServeHTTP"},
		{"net/http.(*Server).Serve.func1.2", "net/http", "Server.Serve"},
		{"net/http.(*Server).Serve.gowrap3", "net/http", "Server.Serve"},
		{"net/http.(*Server).Serve-fm", "net/http", "Server.Serve"},
		{"maps.Keys[...].func1", "maps", "Keys"},
		{"example.com/m.F-range1", "example.com/m", "F"},
		{"slices.SortFunc[go.shape.[]example.com/m/x.T,go.shape.int]", "slices", "SortFunc"},
		{"sync/atomic.(*Pointer[go.shape.struct { a/b.c int }]).Load", "sync/atomic", "Pointer.Load"},
		{"gopkg.in/yaml%2ev3.(*parser).parse", "gopkg.in/yaml.v3", "parser.parse"},
		{"main.main", "main", "main"},
		{"type:.eq.net/http.conn", "net/http", ""},
		{"memeqbody", "", ""},
		{"go:struct { io.Reader }.Read", "", ""},
		{"a/b.", "a/b", ""},
		{"[[[", "", ""},
	} {
		if pkg, symbol := Split(c.name); pkg != c.pkg || symbol != c.symbol {
			t.Errorf("Split(%q) = %q, %q; want %q, %q", c.name, pkg, symbol, c.pkg, c.symbol)
		}
	}
}

// A tree that lies elsewhere, or is larger than the file, is none.
func TestInlinedOutOfBounds(t *testing.T) {
	p := dissected(tiny())
	p.tab.gofunc = make([]byte, 100)
	for _, tree := range []uint32{90, 101, 1 << 31} {
		f := p.Functions[0]
		f.rec.inlined, f.rec.inlineTree = 4, tree // values 5 and 6
		if p.Inlined(&f, func(name string) { t.Errorf("tree at %d: %q", tree, name) }) {
			t.Errorf("a tree at byte %d of 100 was read", tree)
		}
	}
	p.tab.gofunc = make([]byte, 200) // the name of each is at 0
	f, n := p.Functions[0], 0
	f.rec.inlined, f.rec.inlineTree = 4, 0
	for p.Inlined(&f, func(name string) {
		if n++; name != "main.main" {
			t.Errorf("%q was inlined", name)
		}
	}) {
	}
	if n < 7 || n > 1000 {
		t.Errorf("a file of %d bytes has %d inlined calls", len(p.tab.data), n)
	}
}
