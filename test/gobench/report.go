package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// explainAbove is the ratio from which a benchmark is listed by name.
const explainAbove = 1.3

// A compared is one benchmark that ran on both sides.
type compared struct {
	name      string
	vm, plain float64 // nanoseconds per operation
}

func (c compared) ratio() float64 { return c.vm / c.plain }

// compare returns the medians of what ran on both sides and the names of what
// did not.
func (r *result) compare() (both []compared, lone []string) {
	for _, name := range r.order {
		c := compared{name, median(r.vm[name]), median(r.plain[name])}
		if c.vm > 0 && c.plain > 0 {
			both = append(both, c)
		} else {
			lone = append(lone, name)
		}
	}
	return both, lone
}

// median returns NaN for none.
func median(samples []float64) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(samples))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// geomean returns the geometric mean of the ratios, NaN for none.
func geomean(all []compared) float64 {
	sum := 0.0
	for _, c := range all {
		sum += math.Log(c.ratio())
	}
	return math.Exp(sum / float64(len(all)))
}

// lines prints the measurements as benchstat reads them.
func (r *result) lines(w io.Writer) {
	fmt.Fprintf(w, "pkg: %s\n", r.pkg)
	for _, name := range r.order {
		for _, v := range r.vm[name] {
			fmt.Fprintf(w, "%s/side=vm 1 %g ns/op\n", name, v)
		}
		for _, v := range r.plain[name] {
			fmt.Fprintf(w, "%s/side=plain 1 %g ns/op\n", name, v)
		}
	}
}

// report prints the tables.
func report(w io.Writer, results []result) {
	var all []compared
	var slow, lone []string
	fmt.Fprintf(w, "\n| package | benchmarks | geometric mean, VM over plain process | above %.1fx |\n| --- | --- | --- | --- |\n", explainAbove)
	for _, r := range results {
		both, alone := r.compare()
		n := 0
		for _, c := range both {
			if c.ratio() > explainAbove {
				n++
				slow = append(slow, fmt.Sprintf("| %s | %s | %.4g | %.4g | %.2fx |", r.pkg, strings.TrimPrefix(c.name, "Benchmark"), c.vm, c.plain, c.ratio()))
			}
		}
		for _, name := range alone {
			lone = append(lone, r.pkg+" "+name)
		}
		fmt.Fprintf(w, "| %s | %d | %.3fx | %d |\n", r.pkg, len(both), geomean(both), n)
		all = append(all, both...)
	}
	fmt.Fprintf(w, "| **all** | %d | %.3fx | %d |\n", len(all), geomean(all), len(slow))
	if len(slow) > 0 {
		fmt.Fprintf(w, "\n| package | benchmark | VM ns/op | plain ns/op | ratio |\n| --- | --- | --- | --- | --- |\n%s\n", strings.Join(slow, "\n"))
	}
	for _, name := range lone {
		fmt.Fprintf(w, "\nOnly on one side: %s\n", name)
	}
}
