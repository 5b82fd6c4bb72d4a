package inventory

import (
	"fmt"
	"strings"

	"github.com/tailor-os/tailor/internal/yardstick"
)

// A Comparison is a program's lines beside those of what would do the same without
// Tailor: Linux, glibc and OpenSSL, counted by the same rules.
type Comparison struct {
	*yardstick.Figures
	Together Measures `json:"together"` // of all components
	Program  Measures `json:"program"`
	// OnLinux are those of the same program without Tailor: of Linux, and of
	// the layers of the program that would run on it.
	OnLinux Measures `json:"on_linux"`
}

// Measures are lines, counted in three ways; the latter two are 0 if they cannot
// be known.
type Measures struct {
	Instructions int `json:"instructions"`
	Linked       int `json:"linked"`
	Compiled     int `json:"compiled"` // with what is included
}

func (m *Measures) add(o Measures) {
	m.Instructions += o.Instructions
	m.Linked += o.Linked
	m.Compiled += o.Compiled
}

func measuresOf(c *yardstick.Component) Measures {
	return Measures{c.Instructions, c.Linked, c.Compiled + c.Headers}
}

// tailors are the layers that are there because Linux is not.
var tailors = []layer{layerMachine, layerLibos, layerDrivers, layerFiles, layerTCPIP}

// Compare adds figures of others to the lines, which are counted already.
func (r *Report) Compare(f *yardstick.Figures) {
	c := &Comparison{Figures: f}
	for i := range f.Components {
		m := measuresOf(&f.Components[i])
		c.Together.add(m)
		if f.Components[i].Name == yardstick.Kernel {
			c.OnLinux.add(m)
		}
	}
	for _, l := range r.Lines.Layers {
		m := Measures{Instructions: l.Go + l.Assembly}
		if l.Linked != nil {
			m.Linked, m.Compiled = l.Linked.Code(), l.Compiled.Code()
		}
		c.Program.add(m)
		if !isTailors(l.Name) {
			c.OnLinux.add(m)
		}
	}
	if r.Lines.Linked == nil {
		c.OnLinux.Linked, c.OnLinux.Compiled = 0, 0
	}
	r.Comparison = c
}

func isTailors(name string) bool {
	for _, l := range tailors {
		if string(l) == name {
			return true
		}
	}
	return false
}

// comparisonText writes the comparison, if there is one.
func (r *Report) comparisonText(b *page) {
	c := r.Comparison
	if c == nil {
		return
	}
	rows := [][]string{{"THOUSAND LINES", " LINKED", " INSTR.", "COMPILED"}}
	add := func(name string, m Measures) {
		rows = append(rows, []string{name, knownThousands(m.Linked), thousands(m.Instructions), " " + knownThousands(m.Compiled)})
	}
	for i := range c.Components {
		add(c.Components[i].Name+" "+c.Components[i].Version, measuresOf(&c.Components[i]))
	}
	add("together", c.Together)
	add("this program", c.Program)
	share := func(m Measures) {
		rows = append(rows, []string{"of them", percent(c.Program.Linked, m.Linked),
			percent(c.Program.Instructions, m.Instructions), " " + percent(c.Program.Compiled, m.Compiled)})
	}
	share(c.Together)
	if r.Kind != kindUnix {
		add("Linux, and this program without Tailor", c.OnLinux)
		share(c.OnLinux)
	}
	b.table(rows, 0)
	var from []string
	for i := range c.Components {
		from = append(from, c.Components[i].Name+": "+c.Components[i].From)
	}
	b.fill(fmt.Sprintf("Counted by the same rules in Debian's packages by tools/count-linux.sh, %s (%s). No web server, init or shell is among them; COMPILED has their headers, too.",
		c.Date, strings.Join(from, "; ")))
	c.publishedText(b)
}

// publishedText writes what others published.
func (c *Comparison) publishedText(b *page) {
	b.WriteString("\nPublished, counted otherwise, in thousands:\n")
	for _, p := range c.Published {
		value := fig(p.Lines)
		if p.Of > 0 {
			value += " of " + fig(p.Of) + ", " + strings.TrimSpace(percent(p.Lines, p.Of))
		}
		fmt.Fprintf(b, "  %s\n    %s (%s)\n    %s\n", p.What, value, p.Date, p.How)
	}
}

// knownThousands is n in thousands, or a dash if it is 0.
func knownThousands(n int) string {
	if n == 0 {
		return "      -"
	}
	return thousands(n)
}

// percent is how much n is of all, in seven columns.
func percent(n, all int) string {
	if n == 0 || all == 0 {
		return "      -"
	}
	return fmt.Sprintf("%5.1f %%", 100*float64(n)/float64(all))
}
