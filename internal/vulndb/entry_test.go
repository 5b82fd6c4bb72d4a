package vulndb

import (
	"encoding/json"
	"testing"

	"golang.org/x/mod/semver"
)

// Versions are affected from the one that introduces a flaw to the one before that
// which fixes it.
func TestAffects(t *testing.T) {
	const branches = `[{"type":"SEMVER","events":[{"introduced":"1.23.0-0"},{"fixed":"1.23.6"},{"introduced":"0"},{"fixed":"1.22.12"},{"introduced":"1.24.0-0"}]}]`
	for _, c := range []struct {
		ranges, version string
		affected        bool
		fixed           string
	}{
		{branches, "v1.21.0", true, "v1.22.12"},
		{branches, "v1.22.12", false, ""},
		{branches, "v1.23.0-rc.1", true, "v1.23.6"},
		{branches, "v1.23.5", true, "v1.23.6"},
		{branches, "v1.23.6", false, ""},
		{branches, "v1.24.1", true, ""},
		{branches, "1.23.5", true, "v1.23.6"},
		{`[]`, "v1.0.0", true, ""},
		{`null`, "v1.0.0", true, ""},
		{`[{"type":"GIT","events":[{"introduced":"abc"}]}]`, "v1.0.0", true, ""},
		{`[{"type":"SEMVER","events":[]}]`, "v1.0.0", true, ""},
		{`[{"type":"SEMVER","events":[{"introduced":"1.0.0"}]},{"type":"GIT"}]`, "v0.9.0", false, ""},
		{`[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"0.23.0"}]}]`, "v0.0.0-20210101000000-abcdefabcdef", true, "v0.23.0"},
		{`[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"2.0.0+incompatible"}]}]`, "v2.0.0+incompatible", false, ""},
	} {
		a := affected(t, c.ranges)
		if got := a.Affects(c.version); got != c.affected {
			t.Errorf("%s: %s is affected: %v", c.ranges, c.version, got)
		}
		if got := a.FixedIn(c.version); got != c.fixed {
			t.Errorf("%s: of %s fixed in %q, want %q", c.ranges, c.version, got, c.fixed)
		}
	}
	if got := affected(t, branches).FixedIn(""); got != "v1.23.6" {
		t.Errorf("of a version that is not known, fixed in %q", got)
	}
}

func affected(t *testing.T, ranges string) *Affected {
	t.Helper()
	e := &Entry{}
	if err := json.Unmarshal([]byte(`{"id":"X","affected":[{"package":{"name":"m"},"ranges":`+ranges+`}]}`), e); err != nil {
		t.Fatal(err)
	}
	if err := e.check("X"); err != nil {
		t.Fatalf("%s: %v", ranges, err)
	}
	return &e.Affected[0]
}

// Go's releases are versions, and back.
func TestGoVersion(t *testing.T) {
	for release, want := range map[string]string{
		"go1.26.8": "v1.26.8", "go1.20": "v1.20.0", "go1.27rc1": "v1.27.0-rc.1", "go1.26.8 X:nodwarf5": "v1.26.8", "go1.25.3-company.2": "v1.25.3",
		"devel go1.27-abcdef": "", "go1.27-devel_cf5e993177 Mon Nov 3 10:00:00 2025 +0000": "", "go1.27-devel": "", "": "", "v1.2.3": "", "go1": "", "gopher": "",
	} {
		if got, ok := GoVersion(release); got != want || ok != (want != "") || want != "" && !semver.IsValid(got) {
			t.Errorf("GoVersion(%q) = %q, %v; want %q", release, got, ok, want)
		}
	}
	for version, want := range map[string]string{"v1.26.9": "go1.26.9", "v1.27.0-rc.2": "go1.27rc2", "v1.22.0": "go1.22.0"} {
		if got := GoRelease(version); got != want {
			t.Errorf("GoRelease(%q) = %q, want %q", version, got, want)
		}
	}
}

func TestOn(t *testing.T) {
	for _, c := range []struct {
		p    Package
		want bool
	}{
		{Package{}, true},
		{Package{GOOS: []string{"windows", "linux"}}, true},
		{Package{GOOS: []string{"windows"}}, false},
		{Package{GOARCH: []string{"arm64"}}, false},
	} {
		if got := c.p.On("linux", "amd64"); got != c.want {
			t.Errorf("%+v: %v", c.p, got)
		}
	}
}

// FuzzEntry reads hostile entries: what is accepted can be compared.
func FuzzEntry(f *testing.F) {
	f.Add(`{"id":"X","affected":[{"package":{"name":"m"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.2.3"}]}]}]}`, "v1.0.0")
	f.Add(`{"id":"X","affected":[{"ranges":[{"type":"SEMVER","events":[{}]}]}]}`, "")
	f.Fuzz(func(t *testing.T, text, version string) {
		e := &Entry{}
		if json.Unmarshal([]byte(text), e) != nil || e.check(e.ID) != nil {
			return
		}
		for i := range e.Affected {
			a := &e.Affected[i]
			if v := a.FixedIn(version); v != "" && !semver.IsValid(v) {
				t.Errorf("fixed in %q", v)
			}
			if !a.Affects(version) && version != "" && a.FixedIn(version) != "" {
				t.Errorf("%q is not affected, and fixed in %q", version, a.FixedIn(version))
			}
		}
	})
}
