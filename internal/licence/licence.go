// Package licence finds out under which licences a module is, by the texts in its
// root folder.
//
// The texts are compared with those of the licences that Go modules have, by
// google/licensecheck, whose words are what pkg.go.dev shows too. What is under
// another one is not known here.
package licence

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"

	"github.com/google/licensecheck"
)

// known are the licences that are looked for, by their SPDX identifiers. Each costs
// time: all that licensecheck knows take it more than a second to prepare.
var known = []string{
	"0BSD", "AGPL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0",
	"CC0-1.0", "EPL-2.0", "GPL-2.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0", "GPL-3.0-only", "GPL-3.0-or-later",
	"ISC", "LGPL-2.1", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0", "LGPL-3.0-only", "LGPL-3.0-or-later",
	"MIT", "MPL-2.0", "Unlicense", "Zlib",
}

// Known reports whether id is one of the identifiers that [Of] returns.
func Known(id string) bool { return slices.Contains(known, id) }

const (
	maxText  = 1 << 20 // bytes of a file that are read
	maxFiles = 16      // of a folder
	covered  = 75      // percent of a text that must be a licence's, as for pkg.go.dev
)

// names are those of files that have a licence.
var names = regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicen[cs]e)([-._].*)?$`)

// Of returns the licences of the module in folder dir as SPDX identifiers, sorted;
// none if it has no text that is known. It may be called by several goroutines.
func Of(dir string) (ids []string) {
	for _, file := range Files(dir) {
		ids = append(ids, In(read(file))...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Files returns the files of folder dir that [Of] looks at.
func Files(dir string) (files []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if names.MatchString(e.Name()) && filepath.Ext(e.Name()) != ".go" && !e.IsDir() && len(files) < maxFiles {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	return files
}

// In returns the licences in a text, as Of does; none if a quarter of it or more is
// something else.
func In(text []byte) (ids []string) {
	if len(text) == 0 {
		return nil
	}
	c := scanner().Scan(text)
	if c.Percent < covered {
		return nil
	}
	for _, m := range c.Match {
		if !m.IsURL {
			ids = append(ids, m.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// read returns what is in a regular file, nil for another.
func read(file string) []byte {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait
	if err != nil {
		return nil
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, maxText))
	if err != nil {
		return nil
	}
	return text
}

// texts are those of the licences that are looked for.
func texts() []licensecheck.License {
	return slices.DeleteFunc(licensecheck.BuiltinLicenses(), func(l licensecheck.License) bool {
		return l.LRE == "" || !slices.Contains(known, l.ID)
	})
}

var scanner = sync.OnceValue(func() *licensecheck.Scanner {
	s, err := licensecheck.NewScanner(texts())
	if err != nil {
		panic("licence: " + err.Error()) // the texts are part of the tool
	}
	return s
})
