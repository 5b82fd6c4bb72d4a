package yardstick

import (
	"testing"
	"time"
)

// The figures are whole: each has a source and a date, and the parts of each are no
// larger than it is.
func TestFigures(t *testing.T) {
	f, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.DateOnly, f.Date); err != nil {
		t.Error(err)
	}
	names := map[string]bool{}
	for _, c := range f.Components {
		names[c.Name] = true
		if c.Version == "" || c.From == "" || c.Units == 0 || c.MissingInstructions > c.Instructions/50 {
			t.Errorf("%+v", c)
		}
		if c.Instructions > c.Linked || c.Linked > c.Compiled+c.Headers || c.AssemblyInstructions > c.AssemblyCompiled || c.AssemblyCompiled > c.Compiled {
			t.Errorf("parts are larger than the whole: %+v", c)
		}
	}
	if !names[Kernel] || !names["glibc"] || !names["OpenSSL"] || len(names) != len(f.Components) {
		t.Errorf("components are %v", names)
	}
	for _, p := range f.Published {
		if p.What == "" || p.Lines == 0 || p.How == "" || p.Source == "" || p.Date == "" {
			t.Errorf("%+v", p)
		}
	}
}
