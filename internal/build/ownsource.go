package build

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// A sourceFile is one that a program is compiled from, and that is in no module's
// sum.
type sourceFile struct {
	pkg  string // import path
	name string // relative to the package's folder
	path string // absolute
}

// sourceFiles lists the files of the packages that are neither Go's own nor in the
// module cache, as go list names them: those of main modules and workspaces, vendored
// ones and those that a folder replaces.
func sourceFiles(pkgs []listed, root *listed, modCache string) (list []sourceFile) {
	for _, p := range pkgs {
		if p.Standard || p.Dir == "" || within(p.Dir, modCache) {
			continue
		}
		names := slices.Concat(p.GoFiles, p.SFiles, p.HFiles, p.SysoFiles, p.EmbedFiles)
		if p.ImportPath == root.ImportPath && !slices.Contains(names, "default.pgo") {
			if _, err := os.Stat(filepath.Join(p.Dir, "default.pgo")); err == nil {
				names = append(names, "default.pgo") // go build -pgo=auto reads it
			}
		}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			list = append(list, sourceFile{p.ImportPath, name, abs(p.Dir, name)})
		}
	}
	slices.SortStableFunc(list, func(a, b sourceFile) int { return strings.Compare(a.pkg+"\x00"+a.name, b.pkg+"\x00"+b.name) })
	return list
}

// within reports whether path is in folder dir; nothing is in "".
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return dir != "" && err == nil && filepath.IsLocal(rel)
}

// hashSource is a hash of names and contents, wherever they are; "" for no files. A
// file that is not there is the compiler's to complain about.
func hashSource(list []sourceFile) (string, error) {
	if len(list) == 0 {
		return "", nil
	}
	h := sha256.New()
	for _, f := range list {
		sum, err := hashFile(f.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %s\n", f.pkg, f.name, sum)
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

func hashFile(path string) (string, error) {
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
