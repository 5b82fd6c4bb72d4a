package main

import (
	"math"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	r := result{suite: suite{pkg: "p"}, vm: map[string][]float64{}, plain: map[string][]float64{}}
	r.add("BenchmarkA  \t 10\t 100 ns/op\t 1 B/op\nBenchmarkB/x=1 \t 10\t 5.0 ns/op\nBenchmarkC 1 7 ns/op\nPASS\n", r.vm)
	r.add("BenchmarkA 10 50 ns/op\nBenchmarkB/x=1 1 10 ns/op\nBenchmarkA 1 50 ns/op", r.plain)
	both, lone := r.compare()
	if len(both) != 2 || both[0] != (compared{"BenchmarkA", 100, 50}) || len(lone) != 1 || lone[0] != "BenchmarkC" {
		t.Errorf("%v, %v", both, lone)
	}
	if g := geomean(both); math.Abs(g-1) > 1e-9 {
		t.Errorf("geometric mean of 2 and 1/2: %v", g)
	}
	var out strings.Builder
	report(&out, []result{r})
	for _, want := range []string{"| p | 2 | 1.000x | 1 |", "| p | A | 100 | 50 | 2.00x |", "Only on one side: p BenchmarkC"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{{[]float64{3}, 3}, {[]float64{4, 1}, 2.5}, {[]float64{9, 1, 2}, 2}} {
		if got := median(c.in); got != c.want {
			t.Errorf("median(%v) = %v", c.in, got)
		}
	}
	if !math.IsNaN(median(nil)) {
		t.Error("a median of nothing")
	}
}
