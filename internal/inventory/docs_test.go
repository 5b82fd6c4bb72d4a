package inventory

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/yardstick"
)

// The figures of docs/lines.md are still what is counted.
func TestFiguresOfDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/lines.md")
	if err != nil {
		t.Fatal(err)
	}
	others, err := yardstick.Read()
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `(examples/[a-z]+)` \\| (.*) \\| ([0-9.]+) % linked, ([0-9.]+) % compiled \\|$")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) != 3 {
		t.Fatalf("%d rows of examples, want 3", len(rows))
	}
	for _, r := range rows {
		got := report(t, filepath.Join("../..", r[1]))
		got.Compare(others)
		l, together := got.Lines, got.Comparison.Together
		people := l.Linked.Code() - l.Linked.Generated()
		near(t, r[1], strings.Split(r[2], " | "), l.Linked.Code(), people, l.Total, l.Compiled.Code())
		for i, share := range []float64{float64(l.Linked.Code()) / float64(together.Linked), float64(l.Compiled.Code()) / float64(together.Compiled)} {
			if said, err := strconv.ParseFloat(r[3+i], 64); err != nil || math.Abs(said-100*share) > 0.3 {
				t.Errorf("%s: %s %% said, %.1f %% counted", r[1], r[3+i], 100*share)
			}
		}
	}
}

// near checks that what is said, in thousands, is within 2 % of what was counted.
func near(t *testing.T, what string, said []string, counted ...int) {
	t.Helper()
	for i, n := range counted {
		if f, err := strconv.ParseFloat(said[i], 64); err != nil || math.Abs(1000*f-float64(n)) > 0.02*float64(n) {
			t.Errorf("%s: column %d of docs/lines.md says %s thousand, counted are %d", what, i+1, said[i], n)
		}
	}
}
