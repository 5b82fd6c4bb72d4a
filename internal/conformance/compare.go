package conformance

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// Absent is the status of a test that passes on Linux and was not seen in the
// virtual machine.
const Absent Status = "absent"

// A Difference is a test that passes on Linux and not in the virtual machine.
type Difference struct {
	Package, Test string
	Status        Status // in the virtual machine
	Reason        string // "" if nobody has given one
	Output        string // the end of what it printed in the virtual machine
}

// A Count is how many tests pass.
type Count struct{ Linux, Both int }

// Share returns the part of those that pass on Linux that pass in the virtual
// machine too, in percent.
func (c Count) Share() float64 {
	if c.Linux == 0 {
		return 100
	}
	return 100 * float64(c.Both) / float64(c.Linux)
}

// A Row is one package of a report.
type Row struct {
	Package string
	Count   Count
	Seconds float64 // in the virtual machine
}

// A Report is what a comparison has found.
type Report struct {
	Total       Count
	Rows        []Row        // by package
	Differences []Difference // by package and test
	Unexplained int
	// Left are packages whose tests do not run on Linux either.
	Left []string
}

// Compare compares two runs.
func Compare(linux, vm Results, reasons Reasons) *Report {
	r := &Report{}
	for pkg, on := range linux {
		if len(on.Tests) == 0 {
			if on.Status == Fail || on.Status == Cut {
				r.Left = append(r.Left, pkg)
			}
			continue
		}
		in := vm[pkg]
		if in == nil {
			in = &Package{Status: Cut}
		}
		r.compare(pkg, on, in, reasons)
	}
	slices.Sort(r.Left)
	slices.SortFunc(r.Rows, func(a, b Row) int { return cmp.Compare(a.Package, b.Package) })
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Test, b.Test))
	})
	return r
}

func (r *Report) compare(pkg string, linux, vm *Package, reasons Reasons) {
	row := Row{Package: pkg, Seconds: vm.Elapsed}
	addresses := vm.withAddresses(linux)
	for name, t := range linux.Tests {
		if t.Status != Pass {
			continue
		}
		row.Count.Linux++
		got := vm.find(name, addresses)
		if got != nil && got.Status == Pass {
			row.Count.Both++
			continue
		}
		d := Difference{Package: pkg, Test: name, Status: Absent, Output: vm.Output}
		if got != nil {
			d.Status, d.Output = got.Status, got.Output
		} else if above := vm.above(name); above != nil {
			d.Output = above.Output // it says why there are no subtests
		}
		d.Reason = reasons.Find(d)
		if d.Reason == "" {
			r.Unexplained++
		}
		r.Differences = append(r.Differences, d)
	}
	r.Total.Linux += row.Count.Linux
	r.Total.Both += row.Count.Both
	r.Rows = append(r.Rows, row)
}

// address is an address in memory in a test's name, which is another one in each run.
var address = regexp.MustCompile(`0x[0-9a-f]{6,16}`)

// withAddresses returns the tests whose names contain addresses, by their names
// without. One that linux has by its full name is not meant by another. Of several
// with the same name one that did not pass counts: what fails is not hidden.
func (p *Package) withAddresses(linux *Package) map[string]*Test {
	m := map[string]*Test{}
	for name, t := range p.Tests {
		short := address.ReplaceAllString(name, "0x")
		if short == name || linux.Tests[name] != nil {
			continue
		}
		if m[short] == nil || t.Status != Pass {
			m[short] = t
		}
	}
	return m
}

// find returns the test with a name, nil if there is none.
func (p *Package) find(name string, addresses map[string]*Test) *Test {
	if t := p.Tests[name]; t != nil {
		return t
	}
	return addresses[address.ReplaceAllString(name, "0x")]
}

// above returns the nearest test that was seen of those that a test is a
// subtest of, nil if there is none.
func (p *Package) above(name string) *Test {
	for {
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return nil
		}
		if name = name[:i]; p.Tests[name] != nil {
			return p.Tests[name]
		}
	}
}

// Unknown returns the differences that nobody has given a reason for.
func (r *Report) Unknown() []Difference {
	return slices.DeleteFunc(slices.Clone(r.Differences), func(d Difference) bool { return d.Reason != "" })
}
