package port

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The same is derived in every folder, and its summary says what it is.
func TestSummary(t *testing.T) {
	tc := testToolchain(t)
	derived := func(cfg Config) Summary {
		t.Helper()
		cfg.Toolchain, cfg.CacheDir = tc, t.TempDir()
		if _, err := Summarize(cfg); err == nil {
			t.Error("there is a summary before anything was derived")
		}
		if _, err := Prepare(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		s, err := Summarize(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	edits, files := 0, map[string]bool{}
	for _, e := range slices.Concat(Edits, DataEdits) {
		if e.Release == "" || e.Release == tc.Release() {
			edits++
			files[e.File] = true
		}
	}
	a, b, volumes := derived(Config{}), derived(Config{}), derived(Config{Volumes: true})
	if a.SHA256 != b.SHA256 || a.SHA256 == volumes.SHA256 || len(a.SHA256) != 64 {
		t.Errorf("hashes %s and %s, with volumes %s", a.SHA256, b.SHA256, volumes.SHA256)
	}
	if more := len(machineFiles) + 2; a.Edits != edits || a.Edited != len(files)+more { // and time/tzdata
		t.Errorf("%d edits and %d files, want %d and %d", a.Edits, a.Edited, edits, len(files)+more)
	}
	if volumes.Added <= a.Added || len(a.Modules) > 0 {
		t.Errorf("%d files are added, %d with volumes; modules %v", a.Added, volumes.Added, a.Modules)
	}
	var paths []string
	for _, m := range derived(Config{Network: true}).Modules {
		if !IsModule(m.Path) || m.Version == "" || m.Sum == "" {
			t.Errorf("module %+v", m)
		}
		paths = append(paths, m.Path)
	}
	if !slices.Equal(paths, slices.Sorted(slices.Values(guestModules))) {
		t.Errorf("a network is of the modules %v", paths)
	}
}

// What is laid is called what it is called elsewhere.
func TestNames(t *testing.T) {
	for pkg, want := range map[string]string{
		"Tailor/libos": "github.com/tailor-os/tailor/libos", "Tailor/gvisor/tcpip/stack": "gvisor.dev/gvisor/pkg/tcpip/stack",
		"Tailor/time/rate": "golang.org/x/time/rate", "Tailor/btree": "github.com/google/btree",
		"Tailor/timer": "github.com/tailor-os/tailor/timer", "Tailor/zones": "", Linked: "", "time": "", "TailorX/y": "",
	} {
		if got, ok := ImportPath(pkg); got != want || ok != (want != "") {
			t.Errorf("ImportPath(%q) = %q, %v; want %q", pkg, got, ok, want)
		}
	}
}

// Each function that an edit makes of another one is listed as that.
func TestMoved(t *testing.T) {
	made := regexp.MustCompile(`(?m)^func (?:\(\w+ \*?(\w+)\) )?(\w+)\([^{]*\{\n(?:.*\n)?\treturn (Tailor\w+)\(`)
	found := map[string]string{}
	for _, e := range slices.Concat(Edits, DataEdits, LogEdits, NameEdits) {
		for _, m := range made.FindAllStringSubmatch(e.New, -1) {
			found[path.Dir(e.File)+"."+m[3]] = strings.TrimPrefix(m[1]+"."+m[2], ".")
		}
	}
	if !maps.Equal(found, moved) {
		t.Errorf("edits moved %v, listed are %v", found, moved)
	}
	if got := MovedFrom("crypto/x509", "TailorVerify"); got != "Certificate.Verify" || MovedFrom("crypto/x509", "ParseCertificate") != "" {
		t.Errorf("TailorVerify has the code of %q", got)
	}
}
