package metrics

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestFormat: Prometheus' own parser reads what a Writer writes.
func TestFormat(t *testing.T) {
	var w Writer
	w.Gauge("a_bytes", "Help with \\ and \n.").Add(1.5, "name", "quote \" slash \\ line \n end", "b", "é").Add(-3).Add(math.Inf(1), "name", "")
	w.Counter("b_total", "").Add(1<<60).Add(math.NaN(), "x", "y")
	w.Histogram("c_seconds", "H.", []Bucket{{0.001, 2}, {1, 0}, {math.Inf(1), 3}}, 12.25)
	w.Summary("d_seconds", "S.", []float64{1, 2, 3}, 6, 3)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	got, err := parser.TextToMetricFamilies(strings.NewReader(string(w.Bytes())))
	if err != nil {
		t.Fatalf("%v\n%s", err, w.Bytes())
	}
	for name, want := range map[string]string{
		"a_bytes":   `name:"a_bytes" help:"Help with \\ and \n." type:GAUGE metric:{label:{name:"name" value:"quote \" slash \\ line \n end"} label:{name:"b" value:"é"} gauge:{value:1.5}} metric:{gauge:{value:-3}} metric:{label:{name:"name" value:""} gauge:{value:inf}}`,
		"b_total":   `name:"b_total" type:COUNTER metric:{counter:{value:1.152921504606847e+18}} metric:{label:{name:"x" value:"y"} counter:{value:nan}}`,
		"c_seconds": `name:"c_seconds" help:"H." type:HISTOGRAM metric:{histogram:{sample_count:5 sample_sum:12.25 bucket:{cumulative_count:2 upper_bound:0.001} bucket:{cumulative_count:2 upper_bound:1} bucket:{cumulative_count:5 upper_bound:inf}}}`,
		"d_seconds": `name:"d_seconds" help:"S." type:SUMMARY metric:{summary:{sample_count:3 sample_sum:6 quantile:{quantile:0 value:1} quantile:{quantile:0.5 value:2} quantile:{quantile:1 value:3}}}`,
	} {
		if s := strings.Join(strings.Fields(fmt.Sprint(got[name])), " "); s != want {
			t.Errorf("\n got %s\nwant %s", s, want)
		}
	}
}

// FuzzLabel: no label or help can break the text.
func FuzzLabel(f *testing.F) {
	f.Add("a", "b")
	f.Add("\\\"\n", "\\n")
	f.Fuzz(func(t *testing.T, help, value string) {
		value, help = strings.ToValidUTF8(value, ""), strings.ToValidUTF8(help, "")
		var w Writer
		w.Gauge("x", help).Add(1, "l", value)
		parser := expfmt.NewTextParser(model.UTF8Validation)
		got, err := parser.TextToMetricFamilies(strings.NewReader(string(w.Bytes())))
		if err != nil || len(got["x"].GetMetric()) != 1 || got["x"].Metric[0].Label[0].GetValue() != value {
			t.Errorf("%q %q: %v %v\n%s", help, value, err, got, w.Bytes())
		}
	})
}
