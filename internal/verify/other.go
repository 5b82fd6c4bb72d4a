package verify

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/port"
)

// differences is what the builds have differently.
var differences = []string{
	"folder of the source", "permissions of the source", "Go's build cache", "tailor's cache", "path of GOROOT", "HOME", "TMPDIR",
	"umask", "number of processors", "user", "locale", "time zone", "time",
}

// An other is a build from clean caches, and what is different for it.
type other struct {
	name   string
	folder string // of the source, below a temporary one
	umask  int
	linked bool // GOROOT is at another path
	procs  int  // GOMAXPROCS
	env    []string
}

func (r *run) others() []other {
	return []other{
		{name: "1", folder: "s", umask: 0o022, procs: runtime.GOMAXPROCS(0), env: []string{"TZ=UTC", "LC_ALL=C", "LANG=C", "USER=one", "LOGNAME=one"}},
		{name: "2", folder: "a/folder with a longer/name", umask: 0o077, linked: true, procs: runtime.GOMAXPROCS(0) + 1,
			env: []string{"TZ=Asia/Kathmandu", "LC_ALL=tr_TR.UTF-8", "LANG=tr_TR.UTF-8", "USER=another", "LOGNAME=another"}},
	}
}

// environment is what o is built with, in dir.
func (r *run) environment(dir string, o other, src *build.Copied) ([]string, error) {
	goEnv := r.plan.Env()
	env := append([]string{
		"HOME=" + filepath.Join(dir, "home"), "XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "TMPDIR=" + filepath.Join(dir, "tmp"),
		"GOCACHE=" + filepath.Join(dir, "go"), "GOCACHEPROG=", "GOTMPDIR=", "GOPATH=" + filepath.Join(dir, "home", "go"),
		"GOMODCACHE=" + goEnv.GOMODCACHE, "GOENV=" + goEnv.GOENV, "GOWORK=" + src.GOWORK,
		fmt.Sprint("GOMAXPROCS=", o.procs),
	}, o.env...)
	for _, name := range []string{"home", "cache", "tmp", "go"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	if !o.linked {
		return env, nil
	}
	root := filepath.Join(dir, "goroot")
	if err := port.Link(root, goEnv.GOROOT); err != nil {
		return nil, err
	}
	path := strings.Join([]string{filepath.Join(root, "bin"), os.Getenv("PATH")}, string(os.PathListSeparator))
	return append(env, "GOROOT="+root, "GOTOOLCHAIN=local", "PATH="+path), nil
}

// setUmask sets the umask of this process, which its children have from it, and
// returns what undoes that.
func setUmask(mask int) (undo func()) {
	old := syscall.Umask(mask)
	return func() { syscall.Umask(old) }
}
