package house

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
	"testing"
)

// Files that need unsafe without being named *_unsafe.go: a pattern for
// path.Match, and the reason.
var unsafeFiles = map[string]string{
	"boot/*/*.go":                   "the device table and the rings are given by address",
	"libos/*.go":                    "the arguments of a system call are addresses in the caller's memory",
	"machine/*.go":                  "the contract with the starter is memory at fixed addresses",
	"virtio/netdev/netdevtest/*.go": "a hostile device's rings, written by a test",
	"virtio/queue/*.go":             "a ring is memory shared with the device, given by address",
	"test/e2e/testdata/guest/*.go":  "the attacks forge pointers on purpose",
	"internal/guest/*.go":           "guest memory is mapped, and what the contract puts there is at fixed addresses",
	"internal/monitor/*.go":         "KVM takes and returns structures by address; guest memory is mapped",
}

// Unsafe code is where a reviewer looks for memory bugs: it stays in few
// files, and each use says why it is safe.
func TestUnsafe(t *testing.T) {
	for _, s := range sources(t) {
		uses := unsafeUses(s)
		if len(uses) == 0 {
			continue
		}
		if !s.isTest() && !unsafeAllowed(s.name) {
			t.Errorf("%s uses unsafe; move that to a file named *_unsafe.go", s.name)
		}
		if s.isTest() {
			continue
		}
		if lines := unjustified(s, uses); len(lines) > 0 {
			t.Errorf("%s: unsafe on lines %v without a comment \"SAFETY: why\" in the same declaration"+
				" (or, if all uses are alike, above the file's first one)", s.name, lines)
		}
	}
}

func unjustified(s source, uses []ast.Node) (lines []int) {
	for _, u := range uses {
		if !justified(s, u) {
			lines = append(lines, s.fset.Position(u.Pos()).Line)
		}
	}
	return lines
}

func unsafeAllowed(name string) bool {
	if strings.HasSuffix(name, "_unsafe.go") {
		return true
	}
	for pattern := range unsafeFiles {
		if ok, _ := path.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// unsafeUses returns the conversions and calls of package unsafe that can go
// wrong, which unsafe.Sizeof and its like cannot.
func unsafeUses(s source) []ast.Node {
	var uses []ast.Node
	ast.Inspect(s.File, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if ok && pkg.Name == "unsafe" && !slices.Contains([]string{"Sizeof", "Offsetof", "Alignof"}, sel.Sel.Name) {
			uses = append(uses, call)
		}
		return true
	})
	return uses
}

// justified reports whether the top-level declaration around n has a comment
// with SAFETY: in it, or one above all declarations has (for a file whose uses
// are all alike).
func justified(s source, n ast.Node) bool {
	from, to := declaration(s, n)
	first := firstDecl(s)
	return slices.ContainsFunc(s.Comments, func(c *ast.CommentGroup) bool {
		covers := c.Pos() >= from && c.End() <= to || c.End() < first
		return covers && strings.Contains(c.Text(), "SAFETY:")
	})
}

// firstDecl returns where the first declaration that is no import begins,
// with its doc comment.
func firstDecl(s source) token.Pos {
	for _, d := range s.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT {
			continue
		}
		from, _ := declaration(s, d)
		return from
	}
	return s.End()
}

// declaration returns where the top-level declaration around n begins, with
// its doc comment, and ends.
func declaration(s source, n ast.Node) (from, to token.Pos) {
	for _, d := range s.Decls {
		if n.Pos() < d.Pos() || n.Pos() >= d.End() {
			continue
		}
		from = d.Pos()
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		case *ast.GenDecl:
			if d.Doc != nil {
				from = d.Doc.Pos()
			}
		}
		return from, d.End()
	}
	return n.Pos(), n.End()
}

func TestUnsafeFilesAreThere(t *testing.T) {
	all := matching(t, ".go")
	for pattern, why := range unsafeFiles {
		if why == "" {
			t.Errorf("%s has no reason", pattern)
		}
		if !slices.ContainsFunc(all, func(f file) bool { ok, _ := path.Match(pattern, f.name); return ok }) {
			t.Errorf("%s is listed and not there; remove it", pattern)
		}
	}
}
