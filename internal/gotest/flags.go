// Package gotest reads the command line of go test (and of go run), as far as
// one must to add to it: which arguments are flags, which are packages, and
// which belong to the test. It follows cmd/go/internal/test/testflag.go and
// knows the flags of "go help testflag" and "go help build". [NewView] decides what
// a test sees of the host.
package gotest

import (
	"slices"
	"strings"
)

// withValue are the flags that take a value, which may be the next argument.
var withValue = words(`
	C asmflags bench benchtime blockprofile blockprofilerate buildmode
	compiler count covermode coverpkg coverprofile cpu cpuprofile
	debug-actiongraph debug-runtime-trace debug-trace exec fuzz
	fuzzminimizetime fuzztime gccgoflags gcflags installsuffix ldflags list
	memprofile memprofilerate mod modfile mutexprofile mutexprofilefraction o
	outputdir overlay p parallel pgo pkgdir run shuffle skip tags timeout
	toolexec trace vet`)

// boolean are the flags whose value, if any, follows after "=".
var boolean = words(`
	a artifacts asan benchmem buildvcs c cover failfast fullpath json
	linkshared modcacherw msan n race short trimpath v work x`)

// BuildFlags are those that decide what a test binary is made of, which a
// second build needs to make the same.
var BuildFlags = words(`
	asmflags buildvcs cover covermode coverpkg coverprofile gcflags ldflags mod
	modcacherw modfile overlay pgo tags toolexec trimpath`)

func words(s string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(s) {
		set[w] = true
	}
	return set
}

// A Flag is one flag of a command line.
type Flag struct {
	Name  string // without dashes and "test."
	Value string // "true" for a boolean one without a value
	// First and End are where it is: Args[First:End].
	First, End int
}

// On reports whether a boolean flag is set.
func (f Flag) On() bool {
	return slices.Contains([]string{"1", "t", "T", "true", "TRUE", "True"}, f.Value)
}

// A Line is the arguments of go test.
type Line struct {
	Args     []string // as given, own flags included
	Flags    []Flag   // those of go test, in order
	Packages []string
}

// Parse reads the arguments of go test. own are further flags that take a
// value, which are returned among the others. Arguments of the test itself are
// in neither Flags nor Packages.
func Parse(args []string, own ...string) Line {
	l := Line{Args: args}
	listed, inList, loose := false, false, false
	for i := 0; i < len(args); {
		arg := args[i]
		afterLoose := loose
		loose = false
		if arg == "--" || arg == "-args" || arg == "--args" {
			return l
		}
		if len(arg) < 2 || arg[0] != '-' {
			if listed && !inList {
				if !afterLoose {
					return l // the first argument of the test
				}
				i++ // the value of a flag of the test
				continue
			}
			listed, inList = true, true
			l.Packages = append(l.Packages, arg)
			i++
			continue
		}
		inList = false
		f, known := parseFlag(args, i, own)
		if known {
			l.Flags = append(l.Flags, f)
		} else {
			// A flag of the test: what follows may be its value, and can be no
			// package.
			listed = true
			loose = !strings.Contains(arg, "=")
		}
		i = f.End
	}
	return l
}

// parseFlag reads the flag at args[i].
func parseFlag(args []string, i int, own []string) (f Flag, known bool) {
	name, value, has := strings.Cut(strings.TrimPrefix(args[i][1:], "-"), "=")
	name = strings.TrimPrefix(name, "test.")
	f = Flag{Name: name, Value: value, First: i, End: i + 1}
	switch {
	case withValue[name] || slices.Contains(own, name):
		if !has && i+1 < len(args) {
			f.Value, f.End = args[i+1], i+2
		}
	case boolean[name]:
		if !has {
			f.Value = "true"
		}
	default:
		return f, false
	}
	return f, true
}

// Last returns the last flag of a name, which is the one that counts.
func (l Line) Last(name string) (Flag, bool) {
	for _, f := range slices.Backward(l.Flags) {
		if f.Name == name {
			return f, true
		}
	}
	return Flag{}, false
}

// Without returns the arguments without the flags of these names.
func (l Line) Without(names ...string) []string {
	out := make([]string, 0, len(l.Args))
	next := 0
	for _, f := range l.Flags {
		if slices.Contains(names, f.Name) {
			out = append(out, l.Args[next:f.First]...)
			next = f.End
		}
	}
	return append(out, l.Args[next:]...)
}

// Select returns, written as "-name=value", the flags of the names in set.
func (l Line) Select(set map[string]bool) []string {
	var out []string
	for _, f := range l.Flags {
		if set[f.Name] {
			out = append(out, "-"+f.Name+"="+f.Value)
		}
	}
	return out
}
