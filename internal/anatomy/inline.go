package anatomy

import (
	"regexp"
	"strings"
)

// Which of a function's tables speak of what was inlined (internal/abi, symtab.go),
// and a runtime.inlinedCall of Go 1.20 and later: four words, of which the second is
// where the name is.
const (
	pcdataInlined   = 2
	funcdataInlined = 3
	inlinedSize     = 16
	inlinedName     = 4
)

// Inlined yields the names, as of functions, of what was inlined into f, those that
// left no instruction of their own too. ok is false if the tables of f are not as
// this package knows them: then some may be missing.
func (p *Program) Inlined(f *Function, yield func(name string)) (ok bool) {
	t, tree := p.tab, uint64(f.rec.inlineTree)
	if f.rec.inlined == 0 || tree == noFuncdata {
		return true
	}
	calls := uint64(0) // the tree does not say how many it has
	for w := t.walk(f.rec.inlined); w.next() && w.pc <= f.Size && t.spend(1); {
		calls = max(calls, uint64(int64(w.value)+1))
	}
	room := uint64(len(t.gofunc))
	if tree > room || calls > (room-tree)/inlinedSize {
		return false
	}
	for i := range calls {
		name, there := text(t.data[t.names:t.cus], uint64(u32(t.gofunc, tree+i*inlinedSize+inlinedName)))
		if !there || name == "" || !t.spend(inlinedSize+len(name)) {
			return false
		}
		yield(name)
	}
	return true
}

// spend takes n off what may be read of inlined calls: a file cannot ask for more
// than it has, many times over. It reports whether that is not used up.
func (t *table) spend(n int) bool {
	if t.spent += n; t.spent > 8*(len(t.data)+len(t.gofunc)) {
		return false
	}
	return true
}

// Split returns the import path of the package of a function, as [Function] has it,
// and what comes behind it in the function's name, as vulnerability databases have
// it: "Server.Serve" for "net/http.(*Server).Serve.func1". Type arguments and what the
// compiler adds for closures, loops and method values are left out. pkg is "" for
// what has none in its name, symbol for what belongs to no function of the source.
func Split(name string) (pkg, symbol string) {
	if pkg = packageOf(name, ""); pkg == "" || strings.HasPrefix(name, "type:") {
		return pkg, ""
	}
	name = dropArguments(name)
	slash := strings.LastIndexByte(name, '/') + 1
	_, symbol, _ = strings.Cut(name[slash:], ".")
	parts := strings.Split(symbol, ".")
	for i, part := range parts {
		part, _, _ = strings.Cut(part, "-") // F-range1, M-fm
		parts[i] = strings.TrimSuffix(strings.TrimPrefix(part, "(*"), ")")
	}
	for len(parts) > 1 && closure.MatchString(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	return pkg, strings.Join(parts, ".")
}

// closure matches what the compiler adds to the name of a function for one within.
var closure = regexp.MustCompile(`^(func|gowrap|deferwrap|)[0-9]+$`)

// dropArguments takes type arguments out of a function's name.
func dropArguments(name string) string {
	if !strings.Contains(name, "[") {
		return name
	}
	var b strings.Builder
	depth := 0
	for _, c := range []byte(name) {
		switch {
		case c == '[':
			depth++
		case c == ']' && depth > 0:
			depth--
		case depth == 0:
			b.WriteByte(c)
		}
	}
	return b.String()
}
