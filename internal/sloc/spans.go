package sloc

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// A Span is a declaration: its lines, first and last, from 1 on.
type Span struct{ From, To int }

// Declarations returns those of a file of Go's tools that can become code: of Go
// functions, methods and variables with a value, with the comment above each; of
// assembly each TEXT, with what is before the first of them. They ascend.
func Declarations(src []byte, l Language) ([]Span, error) {
	if l == GoAssembly {
		return textSpans(src), nil
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	// Lines as they are in the file, whatever comments say of others.
	line := func(p token.Pos) int { return fset.PositionFor(p, false).Line }
	var list []Span
	add := func(n ast.Node, doc *ast.CommentGroup) {
		from := n.Pos()
		if doc != nil {
			from = doc.Pos()
		}
		list = append(list, Span{line(from), line(n.End() - 1)})
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			add(d, d.Doc)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch v, ok := s.(*ast.ValueSpec); {
				case !ok || d.Tok != token.VAR || v.Values == nil:
				case d.Lparen.IsValid():
					add(v, v.Doc)
				default:
					add(d, d.Doc)
				}
			}
		}
	}
	return list, nil
}

// textSpans returns the functions of a file of Go's assembler.
func textSpans(src []byte) (list []Span) {
	n := 0
	for line := range bytes.Lines(src) {
		n++
		if bytes.HasPrefix(line, []byte("TEXT")) && len(line) > 4 && !isWord(line[4]) {
			if len(list) > 0 {
				list[len(list)-1].To = n - 1
			}
			list = append(list, Span{From: n})
		}
	}
	if len(list) > 0 {
		list[0].From, list[len(list)-1].To = 1, n
	}
	return list
}

// IsData reports whether a line of Go's assembler is one of a table.
func IsData(line []byte) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(string(line[:min(len(line), 64)])), " ")
	word, _, _ = strings.Cut(word, "\t")
	return word == "DATA" || word == "GLOBL"
}

// generated is the mark of Go's convention (go help generate).
var generated = regexp.MustCompile(`^// Code generated .* DO NOT EDIT\.$`)

// Generated reports whether a file says of itself that a program wrote it, by a
// line of Go's convention before anything that is no comment.
func Generated(src []byte, l Language) bool {
	n, kinds := 0, Classify(src[:min(len(src), 1<<14)], l)
	for line := range bytes.Lines(src) {
		if n == len(kinds) || kinds[n] == Code {
			return false
		}
		if generated.Match(bytes.TrimRight(line, "\r\n")) {
			return true
		}
		n++
	}
	return false
}
