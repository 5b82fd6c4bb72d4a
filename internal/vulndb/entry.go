package vulndb

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// The names under which the database has Go itself.
const (
	Stdlib    = "stdlib"
	Toolchain = "toolchain"
)

// An Entry is a vulnerability: the parts of the OSV format, as the Go project uses
// it, that are used here.
type Entry struct {
	ID        string
	Aliases   []string // CVE numbers and the like
	Summary   string
	Withdrawn *time.Time
	Affected  []Affected
	Database  struct {
		URL string
	} `json:"database_specific"`
}

// An Affected says which versions, packages and functions of one module are affected.
type Affected struct {
	Module struct {
		Name, Ecosystem string
	} `json:"package"`
	Ranges   []Range
	Specific struct {
		// Imports are the packages; none if the database does not say which.
		Imports []Package
	} `json:"ecosystem_specific"`
}

// A Range is a list of versions, from those that introduce the flaw to those that fix
// it, the former within it.
type Range struct {
	Type   string
	Events []Event
}

// An Event is one of two things.
type Event struct {
	Introduced string // "0" for from the beginning
	Fixed      string
}

// A Package has flawed functions.
type Package struct {
	Path         string
	GOOS, GOARCH []string // of which it is so; all if empty
	// Symbols are functions and methods ("Type.Method"); all of the package if empty.
	Symbols []string
}

// On reports whether the package is flawed on a system and processor.
func (p *Package) On(goos, goarch string) bool {
	is := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return is(p.GOOS, goos) && is(p.GOARCH, goarch)
}

// check makes sure that e is what was asked for, with versions that can be compared.
func (e *Entry) check(id string) error {
	if e.ID != id {
		return fmt.Errorf("it has the vulnerability %q", e.ID)
	}
	if len(e.Affected) == 0 && e.Withdrawn == nil {
		return errors.New("it names no module")
	}
	for i := range e.Affected {
		a := &e.Affected[i]
		for j := range a.Ranges {
			if err := a.Ranges[j].check(); err != nil {
				return fmt.Errorf("%s: %w", a.Module.Name, err)
			}
		}
	}
	return nil
}

// check makes sure that versions are versions, and puts them into order.
func (r *Range) check() error {
	if r.Type != "SEMVER" {
		return nil
	}
	for _, e := range r.Events {
		if v := e.version(); e.Introduced != "0" && !semver.IsValid(v) || e.Introduced != "" && e.Fixed != "" {
			return fmt.Errorf("a range with the event {introduced: %q, fixed: %q}, which is no version", e.Introduced, e.Fixed)
		}
	}
	slices.SortStableFunc(r.Events, func(a, b Event) int {
		return cmp.Or(compareZero(a, b), semver.Compare(a.version(), b.version()))
	})
	return nil
}

// compareZero puts the beginning first.
func compareZero(a, b Event) int {
	switch first, second := a.Introduced == "0", b.Introduced == "0"; {
	case first && !second:
		return -1
	case second && !first:
		return 1
	}
	return 0
}

func (e *Event) version() string { return Semver(cmp.Or(e.Introduced, e.Fixed)) }

// Semver is a version as the database writes it ("1.2.3") or a module has it
// ("v1.2.3") as package semver takes it.
func Semver(v string) string {
	if v == "" || v[0] == 'v' {
		return v
	}
	return "v" + v
}

// Affects reports whether a version is affected: all are if the database names none.
func (a *Affected) Affects(version string) bool {
	affected, _ := a.at(version)
	return affected
}

// FixedIn returns the first version that fixes the flaw for who has version, as a
// module has it ("v1.2.3"); "" if there is none. Of a version that is not known ("")
// it is the last that fixes it.
func (a *Affected) FixedIn(version string) string {
	if version != "" {
		_, fixed := a.at(version)
		return fixed
	}
	last := ""
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if v := Semver(e.Fixed); r.Type == "SEMVER" && v != "" && semver.Compare(v, last) > 0 {
				last = v
			}
		}
	}
	return last
}

// at finds the range that version lies in, and where that ends.
func (a *Affected) at(version string) (affected bool, fixed string) {
	version, comparable := Semver(version), false
	for _, r := range a.Ranges {
		if r.Type != "SEMVER" {
			continue
		}
		comparable = true
		if inside, fixed := r.at(version); inside {
			return true, fixed
		}
	}
	return !comparable, ""
}

func (r *Range) at(version string) (inside bool, fixed string) {
	if len(r.Events) == 0 {
		return true, ""
	}
	for _, e := range r.Events {
		v := e.version()
		switch {
		case e.Introduced == "0":
			inside = true
		case e.Introduced != "":
			inside = inside || semver.Compare(version, v) >= 0
		case inside && semver.Compare(version, v) < 0:
			return true, v
		default:
			inside = false
		}
	}
	return inside, ""
}

// goTag matches a release of Go: major and minor, patch, what precedes a release.
var goTag = regexp.MustCompile(`^go(\d+\.\d+)(\.\d+)?(?:(beta|rc)(\d+))?(?:[-+].*)?$`)

// GoVersion is a release of Go, as programs have it ("go1.26.8", "go1.27rc1
// X:nodwarf5"), as package semver takes it; ok is false for a development version.
func GoVersion(release string) (version string, ok bool) {
	tag, _, _ := strings.Cut(release, " ")
	m := goTag.FindStringSubmatch(tag)
	if m == nil || strings.Contains(tag, "-devel") { // "go1.27-devel_cf5e99" comes before go1.27rc1
		return "", false
	}
	version = "v" + m[1] + cmp.Or(m[2], ".0")
	if m[3] != "" {
		version += "-" + m[3] + "." + m[4]
	}
	return version, true
}

// GoRelease is what [GoVersion] makes of a release, as the go command takes it
// ("go1.26.8").
func GoRelease(version string) string {
	release, pre, _ := strings.Cut(strings.TrimPrefix(version, "v"), "-")
	if pre != "" {
		return "go" + strings.TrimSuffix(release, ".0") + strings.ReplaceAll(pre, ".", "")
	}
	return "go" + release
}
