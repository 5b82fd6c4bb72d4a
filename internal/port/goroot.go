package port

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
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
	dir := filepath.Join(cacheDir, "goroot", t.Version+"-"+hex.EncodeToString(sum[:4]))
	entries, err := os.ReadDir(t.GOROOT)
	if err != nil {
		return t, fmt.Errorf("read the Go toolchain: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return t, err
	}
	for _, e := range entries {
		err := os.Symlink(filepath.Join(t.GOROOT, e.Name()), filepath.Join(dir, e.Name()))
		if err != nil && !os.IsExist(err) {
			return t, err
		}
	}
	t.Go = filepath.Join(t.GOROOT, "bin", "go")
	t.GOROOT = dir
	return t, nil
}

// Env returns the variables that make t's go command be itself: the toolchain
// that was chosen, with the folder that the overlay is for.
func (t Toolchain) Env() []string {
	return []string{"GOROOT=" + t.GOROOT, "GOTOOLCHAIN=local"}
}
