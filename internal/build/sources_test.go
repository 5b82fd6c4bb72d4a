package build

import "testing"

// A package's files are recorded as -trimpath makes their names.
func TestRecorded(t *testing.T) {
	type module = listedModule
	for _, c := range []struct {
		pkg    string
		module *module
		want   string
	}{
		{"net/http", nil, "net/http"},
		{"example.com/m/a", &module{Path: "example.com/m"}, "example.com/m/a"},
		{"example.com/m/a", &module{Path: "example.com/m", Version: "v1.2.3"}, "example.com/m@v1.2.3/a"},
		{"example.com/m", &module{Path: "example.com/m", Version: "v1.2.3"}, "example.com/m@v1.2.3"},
		{"command-line-arguments", nil, "."},
	} {
		l := listed{ImportPath: c.pkg, Module: c.module}
		if got := l.recorded(); got != c.want {
			t.Errorf("%s is recorded as %s, want %s", c.pkg, got, c.want)
		}
	}
}
