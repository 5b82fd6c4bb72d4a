package build

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// The cache keeps, for each program and way to build it, the linker's last
// output, so that go build sees when there is nothing to do, and the image
// that run makes of it.
const (
	cacheLimit = 1 << 30 // bytes of all entries together
	cacheAge   = 14 * 24 * time.Hour
)

const cacheHint = "export XDG_CACHE_HOME=/path/to/a/folder that can be written"

// An entry is a folder of the cache, locked by this process.
type entry struct {
	dir  string
	lock *os.File
}

// openEntry makes and locks the entry of a key. It waits for another process
// that builds the same.
func openEntry(ctx context.Context, cacheDir, key string) (*entry, error) {
	dir := filepath.Join(cacheDir, "build", key)
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, hint.With(fmt.Errorf("make the cache: %w", err), cacheHint)
		}
		e, err := tryLock(dir)
		if err != nil {
			return nil, hint.With(fmt.Errorf("lock the cache: %w", err), cacheHint)
		}
		if e != nil {
			touch(e.lock.Name())
			return e, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// tryLock locks the entry in dir; nil if another process has it or has just
// removed it.
func tryLock(dir string) (*entry, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
	case unix.EWOULDBLOCK, unix.EINTR:
		f.Close()
		return nil, nil
	default:
		f.Close()
		return nil, err
	}
	// It may have been removed between open and lock.
	mine, err1 := f.Stat()
	there, err2 := os.Stat(f.Name())
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, nil
	}
	return &entry{dir, f}, nil
}

func (e *entry) close() { e.lock.Close() }

// tmp is the folder for go build's temporary files.
func (e *entry) tmp() string { return filepath.Join(e.dir, "tmp") }

// used is an entry as the cleaning sees it.
type used struct {
	dir  string
	last time.Time
	size int64
}

// clean removes what was not used for long, and the longest unused until the
// rest is below limit. Errors are left for the next time: the cache is only
// a cache.
func clean(cacheDir string, limit int64, age time.Duration, now time.Time) {
	cleanFetched(filepath.Join(cacheDir, "fetch"), age, now)
	root := filepath.Join(cacheDir, "build")
	entries, _ := os.ReadDir(root)
	var all []used
	var total int64
	for _, d := range entries {
		u := measure(filepath.Join(root, d.Name()))
		total += u.size
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b used) int { return a.last.Compare(b.last) })
	for _, u := range all {
		if total <= limit && now.Sub(u.last) < age {
			return
		}
		if e, err := tryLock(u.dir); err == nil && e != nil {
			os.RemoveAll(u.dir)
			e.close()
			total -= u.size
		}
	}
}

func cleanFetched(root string, age time.Duration, now time.Time) {
	entries, _ := os.ReadDir(root)
	for _, d := range entries {
		if info, err := d.Info(); err == nil && now.Sub(info.ModTime()) > age {
			os.RemoveAll(filepath.Join(root, d.Name()))
		}
	}
}

func measure(dir string) used {
	u := used{dir: dir}
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		u.size += info.Size()
		if d.Name() == "lock" {
			u.last = info.ModTime()
		}
		return nil
	})
	return u
}

// CacheDir returns where Tailor keeps what it can make again.
func CacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", hint.Errorf("export HOME, or XDG_CACHE_HOME=/path/to/a/folder", "no folder for the cache: %w", err)
	}
	return filepath.Join(dir, "tailor"), nil
}
