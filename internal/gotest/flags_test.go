package gotest

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		args     []string
		packages []string
		flags    []string // name=value
	}{
		{[]string{"./..."}, []string{"./..."}, nil},
		{[]string{"-v", "-run", "X", "./a", "./b"}, []string{"./a", "./b"}, []string{"v=true", "run=X"}},
		{[]string{"a", "-v", "b"}, []string{"a"}, []string{"v=true"}},
		{[]string{"--test.v=false", "-test.run=Y"}, nil, []string{"v=false", "run=Y"}},
		{[]string{"-m", "1G", "std"}, []string{"std"}, []string{"m=1G"}},
		// What follows a flag of the test cannot be a package.
		{[]string{"-mine", "x", "-v", "y"}, nil, []string{"v=true"}},
		{[]string{"./a", "-mine=1", "-short", "z", "-v"}, []string{"./a"}, []string{"short=true"}},
		{[]string{"./a", "-args", "-race"}, []string{"./a"}, nil},
		{[]string{"./a", "--", "-race"}, []string{"./a"}, nil},
		{[]string{"-race=false", "-ldflags"}, nil, []string{"race=false", "ldflags="}},
		{[]string{"-", "x"}, []string{"-", "x"}, nil},
	}
	for _, tt := range tests {
		l := Parse(tt.args, "m")
		var flags []string
		for _, f := range l.Flags {
			flags = append(flags, f.Name+"="+f.Value)
		}
		if !slices.Equal(l.Packages, tt.packages) || !slices.Equal(flags, tt.flags) {
			t.Errorf("%q: packages %q flags %q, want %q %q", tt.args, l.Packages, flags, tt.packages, tt.flags)
		}
	}
}

func TestWithoutAndSelect(t *testing.T) {
	l := Parse([]string{"-m", "1G", "-tags", "x y", "-v", "-m=2G", "./a", "-mine", "-cover", "-args", "-m"}, "m")
	if got, want := l.Without("m"), []string{"-tags", "x y", "-v", "./a", "-mine", "-cover", "-args", "-m"}; !slices.Equal(got, want) {
		t.Errorf("Without: %q, want %q", got, want)
	}
	if got, want := l.Select(BuildFlags), []string{"-tags=x y", "-cover=true"}; !slices.Equal(got, want) {
		t.Errorf("Select: %q, want %q", got, want)
	}
	if f, ok := l.Last("m"); !ok || f.Value != "2G" {
		t.Errorf("Last: %v %v", f, ok)
	}
	if f, _ := l.Last("v"); !f.On() {
		t.Errorf("-v is not on")
	}
}

// Parsing never loses an argument, whatever it is.
func FuzzParse(f *testing.F) {
	f.Add("-v", "-run", "x", "./a")
	f.Add("-m", "-m", "--", "-")
	f.Add("", "=", "-=", "--x=")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		args := []string{a, b, c, d}
		l := Parse(args, "m")
		for _, fl := range l.Flags {
			if fl.First < 0 || fl.End > len(args) || fl.First >= fl.End {
				t.Fatalf("flag %+v of %q", fl, args)
			}
		}
		if got := l.Without(); !slices.Equal(got, args) {
			t.Fatalf("%q without nothing is %q", args, got)
		}
	})
}
