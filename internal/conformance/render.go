package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// About says how the runs of a report were made.
type About struct {
	Go      string // "go1.26.8"
	Command string
	Machine string
	Minutes float64 // of the run in virtual machines
}

// Page returns the report as a page in Markdown.
func (r *Report) Page(a About) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Conformance

The tests of Go's standard library, unmodified, each package's in one virtual
machine (target hvt), compared test by test with the same tests as plain
processes on Linux with GOMAXPROCS=1. Subtests count as tests.

Written by `+"`%s`"+` with %s, %s; the virtual machines took %.0f minutes.

**%d of the %d tests that pass on Linux pass in a virtual machine: %.2f %%.**
`, a.Command, a.Go, a.Machine, a.Minutes, r.Total.Both, r.Total.Linux, r.Total.Share())
	if r.Unexplained > 0 {
		fmt.Fprintf(&b, "%d have no explanation.\n", r.Unexplained)
	} else {
		b.WriteString("None of the others is unexplained.\n")
	}
	r.writeReasons(&b)
	r.writeRows(&b)
	if len(r.Left) > 0 {
		fmt.Fprintf(&b, "\n## Packages whose tests do not run on this Linux\n\n%s\n", strings.Join(r.Left, ", "))
	}
	return b.String()
}

// maxNames is how many tests are named of one package for one reason.
const maxNames = 40

// writeReasons lists what does not pass by its reason.
func (r *Report) writeReasons(b *strings.Builder) {
	byReason := map[string][]Difference{}
	for _, d := range r.Differences {
		byReason[d.Reason] = append(byReason[d.Reason], d)
	}
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		list := byReason[reason]
		title := reason
		if title == "" {
			title = "Unexplained"
		}
		fmt.Fprintf(b, "\n## %s (%d)\n\n", capital(title), len(list))
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n].Package == list[0].Package {
				n++
			}
			writeNames(b, list[:n])
			list = list[n:]
		}
	}
}

// writeNames names the tests of one package.
func writeNames(b *strings.Builder, list []Difference) {
	var words []string
	for i, d := range list {
		if i == maxNames {
			words = append(words, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		word := "`" + strings.ReplaceAll(d.Test, "`", "'") + "`"
		if d.Status != Fail {
			word += " (" + string(d.Status) + ")"
		}
		words = append(words, word)
	}
	fmt.Fprintf(b, "- %s: %s\n", list[0].Package, strings.Join(words, ", "))
}

func (r *Report) writeRows(b *strings.Builder) {
	b.WriteString("\n## Packages\n\n| package | pass on Linux | of these in a VM | % | s |\n| --- | --: | --: | --: | --: |\n")
	for _, row := range r.Rows {
		fmt.Fprintf(b, "| %s | %d | %d | %.1f | %.1f |\n", row.Package, row.Count.Linux, row.Count.Both, row.Count.Share(), row.Seconds)
	}
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
