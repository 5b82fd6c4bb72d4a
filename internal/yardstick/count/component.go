package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/sloc"
	"github.com/tailor-os/tailor/internal/yardstick"
)

// A component is what is counted.
type component struct{ yardstick.Component }

// count joins the tables with the sources, which are PREFIX=DIR each, and returns
// the files that are missing.
func (c *component) count(t *tables, sources []string) (missing []string, err error) {
	found := tables{files: map[string]*file{}} // by path: one file may have several names
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		f := t.files[name]
		if where := locate(name, sources); where != "" {
			found.file(where).join(f)
			continue
		}
		c.Instructions += len(f.lines)
		if !strings.Contains(name, "<") { // <built-in>
			missing = append(missing, name)
			c.Missing++
			c.MissingInstructions += len(f.lines)
		}
	}
	for _, where := range slices.Sorted(maps.Keys(found.files)) {
		text, err := os.ReadFile(where)
		if err != nil {
			return nil, err
		}
		c.add(found.files[where], text, strings.HasSuffix(strings.ToLower(where), ".s"))
	}
	return missing, nil
}

// add counts one file.
func (c *component) add(f *file, text []byte, assembly bool) {
	lang := sloc.C
	if assembly {
		lang = sloc.Assembly
	}
	c.Instructions += len(f.lines)
	if assembly {
		c.AssemblyInstructions += len(f.lines)
	}
	kinds := sloc.Classify(text, lang)
	var all, linked sloc.Count
	all.Add(kinds...)
	if assembly {
		linked.Code = len(f.lines)
	} else {
		for _, d := range declarations(text) {
			if d.has(f.lines) {
				linked.Add(kinds[d.From-1 : d.To]...)
			}
		}
	}
	c.Linked += linked.Code
	if !f.unit {
		c.HeaderFiles++
		c.Headers += all.Code
		return
	}
	c.Units++
	c.Compiled += all.Code
	if assembly {
		c.AssemblyCompiled += all.Code
	}
}

// locate returns where the file is that tables call name, "" if it is none of the
// sources.
func locate(name string, sources []string) string {
	for _, s := range sources {
		prefix, dir, ok := strings.Cut(s, "=")
		if rest, within := strings.CutPrefix(name, prefix); ok && within {
			where := filepath.Join(dir, rest)
			if _, err := os.Stat(where); err == nil {
				return where
			}
		}
	}
	return ""
}
