package inventory

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/cli"
)

// A page is text that is being written, in lines of width columns, or of any length if
// that is 0.
type page struct {
	strings.Builder
	width int
}

// WriteText writes the report for people, with tables of width columns at most, or of
// any width if that is 0. The error is w's.
func (r *Report) WriteText(w io.Writer, width int) error {
	b := page{width: width}
	name := oneLine(r.File)
	if r.graph != nil { // built for this, in the cache
		name = filepath.Base(name)
	}
	fmt.Fprintf(&b, "%s: %s bytes, %s functions\n", name, grouped(r.Bytes), grouped(uint64(r.Functions)))
	if r.Package != "" {
		fmt.Fprintf(&b, "package %s, %s, for %s\n", oneLine(r.Package), oneLine(r.Go), r.forWhom())
	} else {
		fmt.Fprintf(&b, "for %s\n", r.forWhom())
	}
	for _, kind := range []string{"service", "driver"} {
		r.services(&b, kind)
	}
	if len(r.Absent) > 0 {
		b.WriteString("\nNot linked:\n" + cli.FillList(r.Absent, cli.TextWidth, 2))
	}
	r.layers(&b)
	r.parts(&b)
	r.linesText(&b)
	r.comparisonText(&b)
	if r.Rebuild != "" {
		b.WriteString("\nIts note says that this builds it again, in the folder of its source:\n  " + oneLine(r.Rebuild) + "\n")
	}
	list(&b, "Cannot be known:", r.Unknown)
	_, err := io.WriteString(w, strings.Map(visible, b.String()))
	return err
}

// visible keeps what would command a terminal, in names that an image has, from it.
func visible(c rune) rune {
	if c != '\n' && (unicode.IsControl(c) || unicode.Is(unicode.Cf, c)) {
		return '?'
	}
	return c
}

// oneLine is a name, or what else a file has, without the ends of its lines, which
// could pass for lines of the report.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "?") }

// forWhom says what the program is made for.
func (r *Report) forWhom() string {
	if r.Target != "" && noteKind(r.Target) == r.Kind {
		return "target " + r.Target
	}
	return "target " + targetsOf[r.Kind]
}

func list(b *page, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	b.WriteString("\n" + title + "\n")
	for _, l := range lines {
		b.WriteString(cli.Fill("  "+oneLine(l), b.width, 4))
	}
}

// table writes rows of cells, of which the last ones may go below the others; numbers
// are right-aligned by [number].
func (b *page) table(rows [][]string, below int) {
	for _, row := range rows {
		for i := range row {
			row[i] = strings.Map(visible, oneLine(row[i])) // others go at the end
		}
	}
	b.WriteByte('\n')
	t := cli.Table{Rows: rows, Below: below}
	t.Write(&b.Builder, b.width)
}

func (r *Report) services(b *page, kind string) {
	below, rows := 0, [][]string{{strings.ToUpper(kind), "     BYTES", "IMPLEMENTATION"}}
	if r.graph != nil {
		below, rows[0] = 1, append(rows[0], "IMPORTED BY")
	}
	for _, s := range r.Services {
		if s.Kind != kind {
			continue
		}
		row := []string{s.Name, number(s.Bytes), s.Implementation}
		if r.graph != nil {
			row = append(row, chain(s.Imports))
		}
		rows = append(rows, row)
	}
	if len(rows) > 1 {
		b.table(rows, below)
	}
}

// chain is a chain of imports; package main goes without its path.
func chain(imports []string) string {
	if len(imports) == 0 {
		return "?"
	}
	return strings.Join(append([]string{"main"}, imports[1:]...), " > ")
}

func (r *Report) layers(b *page) {
	rows := [][]string{{"LAYER", "     BYTES", "      CODE", "      DATA"}}
	for _, l := range r.Layers {
		rows = append(rows, []string{l.Name, number(l.Bytes), number(l.Code), number(l.Data)})
	}
	rows = append(rows, []string{"the file", number(r.Bytes)})
	b.table(rows, 0)
}

func (r *Report) parts(b *page) {
	rows := [][]string{{"PART", "     BYTES"}}
	for _, p := range anatomy.Parts {
		if n := r.Parts[string(p)]; n > 0 {
			rows = append(rows, []string{string(p), number(n)})
		}
	}
	rows = append(rows, []string{"the file", number(r.Bytes)})
	b.table(rows, 0)
}

// number is n in ten columns.
func number(n uint64) string { return fmt.Sprintf("%10s", grouped(n)) }

// grouped is n with a comma before each three digits.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// WriteDOT writes the services and the chains of imports that bring them in as a
// graph for Graphviz (https://graphviz.org/doc/info/lang.html).
func (r *Report) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph program {\n\trankdir=LR;\n\tnode [shape=box];\n")
	main := r.Package
	if r.graph != nil {
		main = r.graph.Main
	}
	fmt.Fprintf(&b, "\t%s [style=bold];\n", quoted(main))
	var edges []string
	for _, s := range r.Services {
		label := fmt.Sprintf("%s\\n%s\\n%s bytes", escaped(s.Name), escaped(s.Implementation), grouped(s.Bytes))
		node := quoted("service " + s.Name)
		fmt.Fprintf(&b, "\t%s [label=\"%s\", shape=ellipse];\n", node, label)
		chain := s.Imports
		if chain == nil {
			chain = []string{main}
		}
		for i := 1; i < len(chain); i++ {
			edges = append(edges, quoted(chain[i-1])+" -> "+quoted(chain[i]))
		}
		edges = append(edges, quoted(chain[len(chain)-1])+" -> "+node)
	}
	slices.Sort(edges)
	for _, e := range slices.Compact(edges) {
		b.WriteString("\t" + e + ";\n")
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// quoted is s as a quoted ID of DOT.
func quoted(s string) string { return `"` + escaped(s) + `"` }

func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s)
}
