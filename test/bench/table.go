package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// A measure is one line of the report: the same thing measured on a virtual
// machine and on the same program as a plain process.
type measure struct {
	name  string // of a Go benchmark, without "Benchmark"
	what  string // for the table
	unit  string
	vm    []float64
	plain []float64 // nil if there is nothing to compare with
	goal  goal
	notes []string // what else was seen
	// heads are what the table calls vm and plain, if not as they are called here.
	heads [2]string
}

// A goal is what is to be reached; the zero goal is none.
type goal struct {
	limit    float64
	atLeast  bool // else at most
	relative bool // limit is a factor of the plain process's figure
}

func atMost(limit float64) goal       { return goal{limit: limit} }
func atLeast(limit float64) goal      { return goal{limit: limit, atLeast: true} }
func atLeastRatio(limit float64) goal { return goal{limit: limit, atLeast: true, relative: true} }

func (g goal) text(unit string) string {
	if g == (goal{}) {
		return ""
	}
	word := "at most "
	if g.atLeast {
		word = "at least "
	}
	if g.relative {
		return word + number(g.limit) + "x"
	}
	return word + number(g.limit) + " " + unit
}

// reached reports whether the median of m is within the goal.
func (m *measure) reached() bool {
	got := median(m.vm)
	if m.goal.relative {
		got = ratio(m.vm, m.plain)
	}
	if m.goal.atLeast {
		return got >= m.goal.limit
	}
	return got <= m.goal.limit
}

// verdict is the last column of the table.
func (m *measure) verdict() string {
	switch {
	case m.goal == (goal{}):
		return ""
	case len(m.vm) == 0:
		return "not measured"
	case m.reached():
		return "yes"
	}
	return "**no**"
}

// number formats a figure with three significant digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	digits := 2
	if v != 0 {
		digits = max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// figure is a median with its unit, and the quartiles if there are several samples.
func figure(samples []float64, unit string) string {
	if len(samples) == 0 {
		return ""
	}
	s := number(median(samples)) + " " + unit
	if len(samples) >= 3 {
		s += fmt.Sprintf(" (%s-%s)", number(quantile(samples, 0.25)), number(quantile(samples, 0.75)))
	}
	return s
}

// writeTable writes the measures as Markdown, a table for those with the same heads.
func writeTable(w io.Writer, all []*measure) {
	var heads [2]string
	for i, m := range all {
		if i == 0 || m.heads != heads {
			heads = m.heads
			fmt.Fprintf(w, "\n| what | goal | %s | %s | ratio | reached |\n| --- | --- | --- | --- | --- | --- |\n",
				cmp.Or(heads[0], "virtual machine"), cmp.Or(heads[1], "plain process"))
		}
		factor := number(ratio(m.vm, m.plain))
		if factor != "" {
			factor += "x"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s |\n", m.what, m.goal.text(m.unit),
			figure(m.vm, m.unit), figure(m.plain, m.unit), factor, m.verdict())
	}
	fmt.Fprintln(w)
	for _, m := range all {
		for _, note := range m.notes {
			fmt.Fprintf(w, "- %s: %s\n", m.what, note)
		}
	}
}

// writeLines writes the measures the way go test -bench does, one line a
// sample, for benchstat.
func writeLines(w io.Writer, all []*measure) {
	for _, m := range all {
		for _, side := range []struct {
			name    string
			samples []float64
		}{{"vm", m.vm}, {"plain", m.plain}} {
			for _, v := range side.samples {
				fmt.Fprintf(w, "Benchmark%s/%s 1 %s\n", m.name, side.name, benchValue(v, m.unit))
			}
		}
	}
}

// benchUnits are units as benchstat knows them, and what to multiply by.
var benchUnits = map[string]struct {
	name   string
	factor float64
}{
	"ms":     {"ns/op", 1e6},
	"Gbit/s": {"MB/s", 1e3 / 8},
	"MB":     {"bytes", 1e6},
	"MiB":    {"bytes", 1 << 20},
}

func benchValue(v float64, unit string) string {
	u := benchUnits[unit]
	if u.name == "" {
		u.name, u.factor = strings.ReplaceAll(unit, " ", "-"), 1
	}
	return strconv.FormatFloat(v*u.factor, 'f', -1, 64) + " " + cmp.Or(u.name, "n")
}
