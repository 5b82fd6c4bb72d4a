package inventory

import (
	"bytes"
	"fmt"
	"os"

	"github.com/tailor-os/tailor/internal/sloc"
)

// A Source is a file of which a program was compiled.
type Source struct {
	Name    string // as the compiler recorded it
	Path    string // where it is
	Package string // import path, "main" for package main
}

// source counts the lines of a file: all of them as compiled, those of
// declarations with instructions as linked.
func (c *counter) source(s Source) error {
	lang, ok := sloc.Of(s.Name)
	if !ok {
		return nil
	}
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return fmt.Errorf("count lines of source: %w", err)
	}
	f := sourceFile{text: text, lang: lang, kinds: sloc.Classify(text, lang)}
	f.generated = sloc.Generated(text, lang)
	layer := c.layer(s.Package, s.Name)
	whole := f.tally(f.kinds)
	c.lines.Compiled.add(whole)
	layer.Compiled.add(whole)
	with := c.linked[s.Name]
	if with == nil {
		return nil
	}
	kinds, n, err := f.declarations(with)
	if err != nil {
		return fmt.Errorf("count lines of source: %s: %w", s.Path, err)
	}
	if n == 0 {
		return nil
	}
	part := f.tally(kinds)
	c.lines.Linked.add(part)
	layer.Linked.add(part)
	c.lines.Declarations += n
	return nil
}

// A sourceFile is one whose lines are known.
type sourceFile struct {
	text      []byte
	lang      sloc.Language
	kinds     []sloc.Kind
	generated bool
}

// tally counts lines of the file.
func (f *sourceFile) tally(kinds []sloc.Kind) (t Tally) {
	var n sloc.Count
	n.Add(kinds...)
	t = Tally{Comment: n.Comment, Blank: n.Blank, Files: 1}
	switch {
	case f.lang == sloc.Go && f.generated:
		t.GeneratedGo = n.Code
	case f.lang == sloc.Go:
		t.Go = n.Code
	case f.generated:
		t.GeneratedAssembly = n.Code
	default:
		t.Assembly = n.Code
	}
	return t
}

// declarations returns the kinds of the lines of those declarations of which a line
// has instructions, and how many they are. Lines of assembly's tables are left out.
func (f *sourceFile) declarations(with map[int]bool) (kinds []sloc.Kind, count int, err error) {
	list, err := sloc.Declarations(f.text, f.lang)
	if err != nil {
		return nil, 0, err
	}
	var lines [][]byte
	if f.lang == sloc.GoAssembly {
		lines = bytes.Split(f.text, []byte("\n"))
	}
	last := 0 // each line counts once, though two declarations may share it
	for _, d := range list {
		if !anyWithin(with, d) {
			continue
		}
		count++
		for n := max(d.From, last+1); n <= d.To; n++ {
			if lines == nil || !sloc.IsData(lines[n-1]) {
				kinds = append(kinds, f.kinds[n-1])
			}
		}
		last = max(last, d.To)
	}
	return kinds, count, nil
}

func anyWithin(lines map[int]bool, d sloc.Span) bool {
	for n := d.From; n <= d.To; n++ {
		if lines[n] {
			return true
		}
	}
	return false
}
