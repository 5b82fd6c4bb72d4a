package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// A folder of the host is a volume for development: the guest sees what is in it
// now, changes it only if it may, and nothing outside of it.
func TestVolumeFolder(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		dir := t.TempDir()
		write(t, dir, map[string]string{"src/f": "first", "outside/f": "secret"})
		src := filepath.Join(dir, "src")
		if err := os.Symlink("../outside", filepath.Join(src, "link")); err != nil {
			t.Fatal(err)
		}
		folder := func(volume string, args ...string) vmtest.Result {
			line := append(append([]string{"run"}, on.flags...), "--volume", volume, volcmdPkg)
			return vmtest.Setting{Limit: 4 * vmtest.Limit}.Start(t, append(line, args...)...).Wait()
		}
		folder("src="+src+":/src:ro", "folder", "/src").Want(t, 0, []string{`f "first"` + "\n", "write: read-only file system\n"}, nil)
		if _, err := os.Stat(filepath.Join(src, "new")); err == nil {
			t.Error("a guest wrote to a read-only folder")
		}
		write(t, src, map[string]string{"f": "second, longer"})
		folder("src="+src+":/src", "folder", "/src").Want(t, 0, []string{`f "second, longer"` + "\n", "write: <nil>\n"}, nil)
		if text, err := os.ReadFile(filepath.Join(src, "new")); err != nil || string(text) != "second, longer" {
			t.Errorf("what the guest wrote is %q, %v", text, err)
		}
		folder("src="+src+":/src", "folder", "/src/link").Want(t, 1, []string{"no such file or directory"}, nil)
	}, ownFiles, ourMonitor)
	t.Run("qemu", func(t *testing.T) {
		xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
		run(t, "run", "-t", "qemu", "--volume", "src="+t.TempDir()+":/src", volcmdPkg, "sum", "/src").
			want(t, 125, nil, []string{"a folder of the host is no volume under QEMU", "hint: "})
	})
}
