// Package sbom says what an image, or another linked program of Go, is made of:
// modules with their versions, hashes and licences, Go's release, Tailor's, what was
// changed of the Go tree, and which functions of which packages are linked.
//
// What the linker recorded, and the tables of functions, are in the bytes of every
// program, stripped or not (package anatomy). What they do not tell, an image's note
// may: it is used for nothing that the bytes tell, and each difference is a warning.
package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/image"
)

// Stdlib is the path under which Go's own packages are listed, as vulnerability
// databases do.
const Stdlib = "stdlib"

// A Kind says what a module is to a program.
type Kind string

// The kinds of modules, in the order in which they are listed.
const (
	Main       Kind = "main"             // has package main
	Tailor     Kind = "tailor"           // the library OS
	Standard   Kind = "standard library" // Go's
	Laid       Kind = "laid"             // brought by Tailor, below Tailor/ in the standard library's tree
	Dependency Kind = "dependency"       // of the main module
)

var kinds = []Kind{Main, Tailor, Standard, Laid, Dependency}

// A Source says where a module's version is from.
type Source string

// The sources of versions.
const (
	Linker Source = "linker" // its record, which is in the bytes
	Files  Source = "files"  // the names of the files that functions are from, in the bytes too
	Note   Source = "note"   // the image's note, which the bytes can neither confirm nor refute
)

// A Module is one of which a program has packages.
type Module struct {
	Path    string
	Version string // "" if it is not known: "v1.2.3", "go1.26.8" of Stdlib
	Sum     string // h1 hash, "" if there is none
	Kind    Kind
	Source  Source // of Version
	// Replaced is the path that packages of it have if another module stands in for
	// it, or a folder: then Path is that. Else "".
	Replaced string
	Licences []string // SPDX identifiers, nil if not known
	Packages []string // import paths of those that are linked, sorted

	// InFiles is the version in the names of its files if the linker recorded another
	// one: either may be true. Else "".
	InFiles string

	// required is the version that the module had if none stood in for it, which
	// -trimpath leaves in the names of files; "" for others.
	required string
}

// Prefix is the module's path as its packages have it.
func (m *Module) Prefix() string { return cmp.Or(m.Replaced, m.Path) }

// A Bill is what is known of a program. It is only read once it is made.
type Bill struct {
	File   string // path, as it was given
	Bytes  uint64
	SHA256 string // of the file, hexadecimal
	Main   string // import path of package main, "" if not known
	Go     string // release, "" if not known
	Note   *image.Note
	// Settings are what the linker recorded of the build: vcs.revision and the like.
	Settings []debug.BuildSetting
	Modules  []Module
	Port     *image.Port // what the note says was changed of the Go tree, nil for nothing
	// Lost are the import paths of packages whose module is not known, sorted.
	Lost []string
	// FIPS is the version of Go's FIPS 140-3 module if it is not that of the release
	// (GOFIPS140=v1.0.0): its packages are older than the others of the standard library.
	FIPS string
	// Incomplete is set if something that was inlined may be missing.
	Incomplete bool

	// Warnings say where the note and the bytes, or the bytes among each other,
	// disagree; Unknown what cannot be known of this file.
	Warnings, Unknown []string

	code map[string]map[string]bool // package, symbol: true if only inlined
}

// Read reads the program in the file at path, an image or a plain program of Go. The
// error says what is wrong with the file and what to do.
func Read(path string) (*Bill, error) {
	p, err := anatomy.Open(path)
	if err != nil {
		return nil, err
	}
	sum, err := hash(path)
	if err != nil {
		return nil, err
	}
	b := &Bill{File: path, Bytes: p.Size, SHA256: sum, Note: p.Note, code: map[string]map[string]bool{}}
	r := &reader{Bill: b, p: p}
	r.read()
	return b, nil
}

func hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Linked reports whether anything of the package is linked, if only inlined.
func (b *Bill) Linked(pkg string) bool { return len(b.code[pkg]) > 0 }

// Symbols returns the functions of a package that are linked, as
// [anatomy.Split] names them, sorted.
func (b *Bill) Symbols(pkg string) (list []string) {
	for symbol := range b.code[pkg] {
		if symbol != "" { // made by the compiler
			list = append(list, symbol)
		}
	}
	slices.Sort(list)
	return list
}

// Function reports whether a function of a package is linked, and if so, whether it
// was inlined everywhere.
func (b *Bill) Function(pkg, symbol string) (linked, inlined bool) {
	inlined, linked = b.code[pkg][symbol]
	return linked, inlined
}

// Setting returns what the linker recorded under a key, "" for nothing.
func (b *Bill) Setting(key string) string {
	for _, s := range b.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// Target returns the target that the program is made for, by what is linked: "hvt" for
// both hvt and spt, "virtio", or "unix" for a plain program.
func (b *Bill) Target() string {
	switch {
	case b.Linked(tailor.Module + "/boot/platform"):
		return "virtio"
	case b.Linked(tailor.Module + "/libos"):
		return "hvt"
	}
	return "unix"
}

// TailorVersion is the version of the tailor that built the image, by its note; ""
// if it is not known.
func (b *Bill) TailorVersion() string {
	if b.Note == nil {
		return ""
	}
	return b.Note.Tailor
}

// printable returns s fit for a terminal: a program may have any bytes in it.
func printable(s string) string { return cli.Printable(s) }

// sortModules puts modules into the order in which they are listed.
func sortModules(list []Module) {
	slices.SortStableFunc(list, func(a, b Module) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Path, b.Path))
	})
}
