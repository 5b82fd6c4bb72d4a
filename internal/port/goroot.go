package port

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tailor-os/tailor/internal/cache"
)

// Overlayable returns t with a GOROOT that an overlay may replace files of. The
// go command refuses that below the module cache, where the toolchains are
// that it downloads (GOTOOLCHAIN); a folder of links to such a one is as good.
// Commands of the result are run with Env.
func (t Toolchain) Overlayable(cacheDir, modCache string) (Toolchain, error) {
	rel, err := filepath.Rel(modCache, t.GOROOT)
	if modCache == "" || err != nil || !filepath.IsLocal(rel) {
		return t, nil
	}
	sum := sha256.Sum256([]byte(t.GOROOT))
	dir := filepath.Join(cacheDir, cache.Trees, t.Version+"-"+hex.EncodeToString(sum[:4]))
	if err := cache.Use(dir); err != nil {
		return t, err
	}
	if err := linkAll(dir, t.GOROOT, ""); err != nil {
		return t, err
	}
	t.Go = filepath.Join(t.GOROOT, "bin", "go")
	t.GOROOT = dir
	return t, nil
}

// Testable returns t with a GOROOT in which go test can vet what an overlay
// adds: it runs vet in each package's folder, which therefore must be there. The
// result is a folder of links to t's GOROOT with a real folder src, in which
// [Toolchain.MakeFolders] makes the others. Patterns such as encoding/... do not
// match behind links.
func (t Toolchain) Testable(cacheDir string) (Toolchain, error) {
	sum := sha256.Sum256([]byte(t.GOROOT))
	dir := filepath.Join(cacheDir, cache.Trees, t.Version+"-"+hex.EncodeToString(sum[:4])+"-test")
	if err := cache.Use(dir); err != nil {
		return t, err
	}
	if err := linkAll(dir, t.GOROOT, "src"); err != nil {
		return t, err
	}
	if err := linkAll(filepath.Join(dir, "src"), filepath.Join(t.GOROOT, "src"), ""); err != nil {
		return t, err
	}
	if rel, err := filepath.Rel(t.GOROOT, t.Go); err != nil || !filepath.IsLocal(rel) {
		t.Go = filepath.Join(t.GOROOT, "bin", "go") // not one that would choose another toolchain
	}
	t.GOROOT = dir
	return t, nil
}

// MakeFolders makes the folders of the files that overlayFile adds to GOROOT.
func (t Toolchain) MakeFolders(overlayFile string) error {
	replace, err := readOverlay(overlayFile)
	if err != nil {
		return err
	}
	ours := filepath.Join(t.GOROOT, "src", Prefix)
	made := map[string]bool{}
	for path := range replace {
		dir := filepath.Dir(path)
		if made[dir] || !strings.HasPrefix(dir, ours+string(filepath.Separator)) {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		made[dir] = true
	}
	return nil
}

// Link makes dir a Go tree of links to another. It is as good, at another path.
func Link(dir, goroot string) error { return linkAll(dir, goroot, "") }

// linkAll makes a folder of links to all that is in another, but for one name.
func linkAll(dir, to, except string) error {
	entries, err := os.ReadDir(to)
	if err != nil {
		return fmt.Errorf("read the Go toolchain: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == except {
			continue
		}
		err := os.Symlink(filepath.Join(to, e.Name()), filepath.Join(dir, e.Name()))
		if err != nil && !os.IsExist(err) {
			return err
		}
	}
	return nil
}

// Env returns the variables that make t's go command be itself: the toolchain
// that was chosen, with the folder that the overlay is for.
func (t Toolchain) Env() []string {
	return []string{"GOROOT=" + t.GOROOT, "GOTOOLCHAIN=local"}
}
