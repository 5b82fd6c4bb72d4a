// Package sloc counts lines of source: which are code, which are comments, which
// are blank, and which belong to which declaration.
//
// A line is blank if it has nothing but white space, wherever it stands; a comment
// if nothing on it is code; code otherwise. That is how cloc counts, but for
// strings, which this package knows. All functions are pure.
package sloc

import (
	"path"
	"strings"
)

// A Language is one whose comments are known.
type Language int

// The languages. Assembly is that of Go's own assembler or of GNU's: they differ
// in what # means.
const (
	Go Language = iota
	GoAssembly
	C
	Assembly
)

// Of returns the language of a file of Go's tools by its name; ok is false for
// others. Headers are those of assembly.
func Of(name string) (l Language, ok bool) {
	switch path.Ext(name) {
	case ".go":
		return Go, true
	case ".s", ".h":
		return GoAssembly, true
	}
	return 0, false
}

// A Kind is what a line is.
type Kind byte

// The kinds of lines.
const (
	Blank Kind = iota
	Comment
	Code
)

// A Count is how many lines there are of each kind.
type Count struct{ Code, Comment, Blank int }

// Add adds lines.
func (c *Count) Add(kinds ...Kind) {
	for _, k := range kinds {
		switch k {
		case Code:
			c.Code++
		case Comment:
			c.Comment++
		default:
			c.Blank++
		}
	}
}

// Classify says of each line what it is; the first line is at index 0.
func Classify(src []byte, l Language) []Kind {
	s := lexer{lang: l, src: src}
	for s.at < len(s.src) {
		s.step()
	}
	if n := len(src); n > 0 && src[n-1] != '\n' {
		s.endLine()
	}
	return s.kinds
}

// A lexer goes through a file once.
type lexer struct {
	lang  Language
	src   []byte
	at    int
	kinds []Kind

	// quote is the quote that ends what the lexer is in, '*' for a comment that
	// lasts until */, '/' for one until the end of the line, 0 for none.
	quote byte
	line  Kind // of the line so far
}

// step takes one byte, or two that belong together.
func (s *lexer) step() {
	c := s.src[s.at]
	switch {
	case c == '\n':
		if s.quote == '/' || s.quote == '"' || s.quote == '\'' {
			s.quote = 0
		}
		s.at++
		s.endLine()
		return
	case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
	case s.quote == 0:
		s.open(c)
	case s.quote == '*' || s.quote == '/':
		s.mark(Comment)
		if s.quote == '*' && s.follows("*/") {
			s.quote = 0
			s.at++
		}
	default:
		s.mark(Code)
		if c == s.quote {
			s.quote = 0
		}
	}
	if c == '\\' && s.escapes() {
		s.skip()
	}
	s.at++
}

// open takes c outside of comments and strings.
func (s *lexer) open(c byte) {
	switch {
	case s.follows("//"):
		s.comment('/')
	case s.follows("/*"):
		s.comment('*')
	case c == '#' && s.lang == Assembly && !s.directive():
		s.mark(Comment)
		s.quote = '/'
	default:
		s.mark(Code)
		if c == '"' || c == '\'' || c == '`' && s.lang == Go {
			s.quote = c
		}
	}
}

func (s *lexer) comment(until byte) {
	s.mark(Comment)
	s.quote = until
	s.at++
}

// escapes reports whether a backslash here takes the next byte with it: in
// strings and, in C, before the end of a line.
func (s *lexer) escapes() bool {
	switch s.quote {
	case '"', '\'':
		return true
	case '/', 0:
		return s.lang != Go && s.at+1 < len(s.src) && s.src[s.at+1] == '\n'
	}
	return false
}

// skip passes over the byte behind a backslash, which may end a line, but not
// the string or comment that the line is of.
func (s *lexer) skip() {
	if s.at+1 >= len(s.src) {
		return
	}
	if s.src[s.at+1] == '\n' && s.lang == Go {
		return
	}
	s.at++
	if s.src[s.at] == '\n' {
		s.endLine()
	}
}

func (s *lexer) follows(what string) bool {
	return strings.HasPrefix(string(s.src[s.at:min(s.at+2, len(s.src))]), what)
}

// directive reports whether a # begins a directive of the preprocessor, not a
// comment of GNU's assembler.
func (s *lexer) directive() bool {
	if s.line != Blank {
		return false
	}
	rest := strings.TrimLeft(string(s.src[s.at+1:min(s.at+32, len(s.src))]), " \t")
	for _, word := range []string{"if", "else", "elif", "endif", "define", "undef", "include", "error", "warning", "pragma", "line"} {
		if after, ok := strings.CutPrefix(rest, word); ok && (after == "" || !isWord(after[0]) || word == "if") {
			return true
		}
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (s *lexer) mark(k Kind) { s.line = max(s.line, k) }

func (s *lexer) endLine() {
	s.kinds = append(s.kinds, s.line)
	s.line = Blank
}
