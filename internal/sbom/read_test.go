package sbom

import (
	"runtime/debug"
	"testing"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// The files of a module tell its path and version, as a module cache writes them too.
func TestModuleFile(t *testing.T) {
	for file, want := range map[string][3]string{
		"golang.org/x/text@v0.3.5/language/parse.go":                         {"golang.org/x/text", "v0.3.5", "language/parse.go"},
		"/root/go/pkg/mod/github.com/!burnt!sushi/toml@v1.4.0/parse.go":      {"github.com/BurntSushi/toml", "v1.4.0", "parse.go"},
		"github.com/BurntSushi/toml@v1.4.0/parse.go":                         {"github.com/BurntSushi/toml", "v1.4.0", "parse.go"},
		"/root/go/pkg/mod/example.com/a@v1.0.0-!r!c1/":                       {"example.com/a", "v1.0.0-RC1", ""},
		"/elsewhere/golang.org/x/text@v0.3.5/language/parse.go":              {},
		"/root/src/text/parse.go":                                            {},
		"net/http/server.go":                                                 {},
		"/root/go/pkg/mod/github.com/a/b@v2.0.0+incompatible/c.go":           {"github.com/a/b", "v2.0.0+incompatible", "c.go"},
		"/go/pkg/mod/gopkg.in/yaml.v2@v2.2.7/x@v1.0.0/decode.go":             {"gopkg.in/yaml.v2", "v2.2.7", "x@v1.0.0/decode.go"},
		"/go/pkg/mod/cache/pkg/mod/golang.org/x/sys@v0.1.0/cpu/cpu_x86.s":    {"golang.org/x/sys", "v0.1.0", "cpu/cpu_x86.s"},
		"/go/pkg/mod/golang.org/toolchain@v0.0.1-go1.26.8.linux-amd64/src/x": {"golang.org/toolchain", "v0.0.1-go1.26.8.linux-amd64", "src/x"},
	} {
		path, version, rest, ok := moduleFile(file)
		if got := [3]string{path, version, rest}; got != want || ok != (path != "") {
			t.Errorf("%s is %q, %v; want %q", file, got, ok, want)
		}
	}
}

// A version of Go's FIPS 140-3 module that was frozen goes by the names of the others too.
func TestFIPS(t *testing.T) {
	b := &Bill{code: map[string]map[string]bool{}}
	r := &reader{Bill: b}
	r.add("crypto/internal/fips140/aes", "F", false)
	if b.FIPS != "" {
		t.Errorf("that of the release is %q", b.FIPS)
	}
	r.add("crypto/internal/fips140/v1.0.0-c2097c7c/nistec", "P256Point.Add", true)
	if linked, inlined := b.Function("crypto/internal/fips140/nistec", "P256Point.Add"); !linked || !inlined || b.FIPS != "v1.0.0-c2097c7c" {
		t.Errorf("linked %v, inlined %v, version %q", linked, inlined, b.FIPS)
	}
}

// A module that another stands in for has files under either name, with the version
// that was required or the other's: neither is a difference.
func TestReplacedFiles(t *testing.T) {
	for _, c := range []struct {
		path, version string
		warnings      int
	}{
		{"example.com/a", "v1.0.0", 0},
		{"example.com/fork", "v1.5.0", 0},
		{"example.com/a", "v1.1.0", 1},
		{"example.com/other", "v1.5.0", 1},
	} {
		b := &Bill{}
		r := &reader{Bill: b, p: &anatomy.Program{Build: &debug.BuildInfo{Deps: []*debug.Module{
			{Path: "example.com/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v1.5.0"}},
		}}}, files: map[string]string{c.path: c.version}}
		r.recorded()
		r.fromFiles()
		if len(b.Warnings) != c.warnings {
			t.Errorf("files of %s %s: warnings %q", c.path, c.version, b.Warnings)
		}
	}
}
