package port

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/cache"
)

// A Module is one of those that the guest's packages use, as `go mod download -json`
// has it.
type Module struct {
	Path, Version string
	Sum           string // h1 hash of its content
	Dir           string // where it is on this machine
}

// A Summary says what a derived port is: the same on every machine for the same
// toolchain, tool and program, but for the folders of modules.
type Summary struct {
	Edits  int    // entries of the tables of edits that were applied to files of GOROOT
	Edited int    // files of GOROOT that another one stands in for
	Added  int    // files that GOROOT has not
	SHA256 string // of names and contents of these, hexadecimal
	// Modules are those of which packages or data were laid, by path.
	Modules []Module
}

const summaryFile = "summary.json"

// Summarize returns what [Prepare] derived for cfg. What cfg.Extra adds is not in it.
func Summarize(cfg Config) (s Summary, err error) {
	key, err := cacheKey(cfg)
	if err != nil {
		return s, err
	}
	data, err := os.ReadFile(filepath.Join(cfg.CacheDir, cache.Ports, cfg.Toolchain.Version+"-"+key, summaryFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("read %s of the derived port: %w", summaryFile, err)
	}
	return s, nil
}

// summarize writes down what was derived.
func (d *deriver) summarize() error {
	s := Summary{Edits: d.count}
	for path := range d.laid {
		s.Modules = append(s.Modules, d.modules[path])
	}
	slices.SortFunc(s.Modules, func(a, b Module) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(d.replace)) {
		data, err := os.ReadFile(d.replace[path])
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, d.goroot+string(filepath.Separator)))
		fmt.Fprintf(h, "%s %d\n", name, len(data))
		h.Write(data)
		if _, err := os.Stat(path); err == nil {
			s.Edited++
		} else {
			s.Added++
		}
	}
	s.SHA256 = hex.EncodeToString(h.Sum(nil))
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(d.dir, summaryFile), data)
}

// ImportPath returns the import path that a package below [Prefix] has outside of
// images; ok is false if it has none there.
func ImportPath(pkg string) (path string, ok bool) {
	rel, ok := strings.CutPrefix(pkg, Prefix)
	if !ok || rel == "zones" || Prefix+rel == Linked {
		return "", false
	}
	for long, short := range shortPaths {
		if after, ok := strings.CutPrefix(rel, short); ok && (after == "" || after[0] == '/') {
			return long + after, true
		}
	}
	return tailor.Module + "/" + rel, true
}

// RootsModule is the module whose data [RootsFile] has.
const RootsModule = rootsModule

// RootsFile is the file of the standard library that has root certificates, in
// images that have some.
const RootsFile = "crypto/x509/tailor_roots.go"

// IsModule reports whether a module is one of those that the guest's packages use.
func IsModule(path string) bool { return slices.Contains(guestModules, path) }

// moved are functions of the standard library whose code edits have given to another
// one, which both they and others call, by the name of that.
var moved = map[string]string{
	"crypto/x509.TailorVerify": "Certificate.Verify",
	"crypto/tls.TailorClient":  "Client",
}

// MovedFrom returns the function of a package of the standard library whose code is
// in the function symbol in images, "" if that has none of another's.
func MovedFrom(pkg, symbol string) string { return moved[pkg+"."+symbol] }
