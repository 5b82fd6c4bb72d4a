package compare

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
)

// How many packages and functions are shown if not all are asked for.
const (
	shownPackages  = 20
	shownFunctions = 10
)

// A printer collects what is shown, in lines of width columns, or of any length if
// that is 0.
type printer struct {
	b     strings.Builder
	r     *Report
	width int
}

// WriteText writes the report for people, with tables of width columns at most, or of
// any width if that is 0; with all, each function that differs. The error is w's.
func (r *Report) WriteText(w io.Writer, width int, all bool) error {
	p := &printer{r: r, width: width}
	p.sides()
	if !r.Same {
		p.where()
		p.changes("CHANGED", r.Settings)
		p.changes("MODULE", r.Modules)
		p.services()
		p.layers()
		p.packages(all)
		p.functions(all)
		p.files()
		if all || len(r.Functions) == 0 { // else they only follow from what is said above
			p.sections()
		}
		p.unknown()
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

func (p *printer) sides() {
	for _, s := range []Side{p.r.A, p.r.B} {
		fmt.Fprintf(&p.b, "%s: %s bytes, sha256 %s\n", clean(s.File), grouped(uint64(s.Bytes)), s.SHA256)
	}
	if p.r.Same {
		p.b.WriteString("They are the same.\n")
	}
}

func (p *printer) where() {
	if p.r.First != nil {
		fmt.Fprintf(&p.b, "They differ, first at byte %s: %s\n", grouped(uint64(*p.r.First)), clean(p.r.Where))
	}
}

// table writes rows in columns, of which the last ones may go below the others.
func (p *printer) table(rows [][]string, below int) {
	if len(rows) < 2 {
		return
	}
	p.b.WriteString("\n")
	t := cli.Table{Rows: rows, Below: below}
	t.Write(&p.b, p.width)
}

func (p *printer) changes(title string, list []Change) {
	rows := [][]string{{title, "A", "B"}}
	for _, c := range list {
		rows = append(rows, []string{clean(c.Name), orNone(c.A), orNone(c.B)})
	}
	p.table(rows, 2)
}

func (p *printer) services() {
	rows := [][]string{{"SERVICE", "         A", "         B", "DIFFERENCE", ""}}
	for _, s := range p.r.Services {
		row := []string{s.Name, number(s.ABytes), number(s.BBytes), signed(s.ABytes, s.BBytes)}
		switch {
		case s.A == "":
			row = append(row, "added: "+s.B)
		case s.B == "":
			row = append(row, "removed: "+s.A)
		case s.A != s.B:
			row = append(row, s.A+" became "+s.B)
		}
		rows = append(rows, row)
	}
	p.table(rows, 1)
}

func (p *printer) layers() {
	rows := [][]string{{"LAYER", "         A", "         B", "DIFFERENCE"}}
	for _, l := range p.r.Layers {
		rows = append(rows, []string{clean(l.Name), number(l.A), number(l.B), signed(l.A, l.B)})
	}
	if len(rows) > 1 {
		rows = append(rows, []string{"the file", number(uint64(p.r.A.Bytes)), number(uint64(p.r.B.Bytes)), signed(uint64(p.r.A.Bytes), uint64(p.r.B.Bytes))})
	}
	p.table(rows, 0)
}

func (p *printer) packages(all bool) {
	rows := [][]string{{"FUNCTIONS OF", "  ADDED", "REMOVED", "CHANGED", "BYTES OF CODE"}}
	list := p.r.Packages
	if !all && len(list) > shownPackages {
		list = list[:shownPackages]
	}
	for _, c := range list {
		rows = append(rows, []string{orNone(c.Package), count(c.Added), count(c.Removed), count(c.Changed), "   " + signed(c.A, c.B)})
	}
	p.table(rows, 0)
	if more := len(p.r.Packages) - len(list); more > 0 {
		fmt.Fprintf(&p.b, "  and of %d other packages: --functions shows all\n", more)
	}
}

func (p *printer) functions(all bool) {
	list := p.r.Functions
	if !all && len(list) > shownFunctions {
		return // of the packages is enough
	}
	rows := [][]string{{"FUNCTION", "         A", "         B", "DIFFERENCE"}}
	for _, f := range list {
		rows = append(rows, []string{clean(f.Name), number(f.A), number(f.B), signed(f.A, f.B)})
	}
	p.table(rows, 0)
}

func (p *printer) files() {
	rows := [][]string{{"FILE", "A", "B"}}
	for _, f := range p.r.Files {
		rows = append(rows, []string{clean(f.Path), f.A.text(), f.B.text()})
	}
	p.table(rows, 2)
}

func (f *File) text() string {
	if f == nil {
		return "-"
	}
	s := fmt.Sprintf("mode %s, %s bytes", f.Mode, grouped(f.Bytes))
	switch {
	case f.Target != "":
		s = "link to " + clean(f.Target)
	case f.SHA256 != "":
		s += ", sha256 " + f.SHA256[:16]
	}
	if f.Time != 0 {
		s += fmt.Sprintf(", time %d", f.Time)
	}
	return s
}

func (p *printer) sections() {
	rows := [][]string{{"SECTION", "         A", "         B", "BYTES THAT DIFFER"}}
	for _, s := range p.r.Sections {
		rows = append(rows, []string{clean(s.Name), number(s.A), number(s.B), number(s.Differ)})
	}
	p.table(rows, 0)
	for _, s := range p.r.Sections {
		if len(s.Functions) > 0 {
			p.b.WriteString("\nCode, or addresses in it, differ, not in size, of:\n" + cli.Fill("  "+clean(strings.Join(s.Functions, ", ")), p.width, 2))
		}
	}
}

func (p *printer) unknown() {
	if len(p.r.Unknown) > 0 {
		p.b.WriteString("\nCannot be known:\n")
		for _, u := range p.r.Unknown {
			p.b.WriteString(cli.Fill("  "+clean(u), p.width, 4))
		}
	}
}

// Brief returns what differs in a few lines, the most telling first.
func (r *Report) Brief() (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, clean(fmt.Sprintf(format, args...))) }
	for _, c := range slices.Concat(r.Settings, r.Modules) {
		add("%s: %s, %s", c.Name, orNone(c.A), orNone(c.B))
	}
	for _, f := range r.Files {
		add("file %s: %s, %s", f.Path, f.A.text(), f.B.text())
	}
	for _, f := range r.Functions {
		add("function %s: %d and %d bytes", f.Name, f.A, f.B)
	}
	for _, s := range r.Sections {
		add("section %s: %d and %d bytes, %d of them differ", s.Name, s.A, s.B, s.Differ)
		for _, f := range s.Functions {
			add("function %s: other code, or addresses in it", f)
		}
	}
	const most = 20
	if len(lines) > most {
		lines = append(lines[:most], fmt.Sprintf("and %d more", len(lines)-most))
	}
	return lines
}

// clean is s without what a terminal would obey, on one line.
func clean(s string) string { return cli.Printable(s) }

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}

// count is n in seven columns.
func count(n int) string { return fmt.Sprintf("%7d", n) }

// number is n in ten columns.
func number(n uint64) string { return fmt.Sprintf("%10s", grouped(n)) }

// signed is how much b is more than a, in ten columns.
func signed(a, b uint64) string {
	if b >= a {
		return fmt.Sprintf("%10s", "+"+grouped(b-a))
	}
	return fmt.Sprintf("%10s", "-"+grouped(a-b))
}

// grouped is n with a comma before each three digits.
func grouped(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
