package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// What the cache is held to.
const (
	Limit = 2_000_000_000       // bytes of all entries together
	Age   = 14 * 24 * time.Hour // since an entry was used
)

const (
	// often is how often the entries are looked at. What was used since is left: the
	// program that a build has made may be about to start.
	often = time.Hour
	// patience is how long a command is held up by removing. The rest is for others.
	patience = time.Second
)

// trash begins the names of entries that are being removed, with the process that does it
// and a number of its own.
const trash = ".trash-"

var removals atomic.Int64

// mark is the file whose time says when the cache was trimmed.
const mark = "trimmed"

// Trim removes what was not used for [Age], and what was not used for longest until
// the rest is below [Limit]. It does so once an hour, and leaves errors for the next
// time. It never makes the cache.
func Trim(dir string) { trim(dir, Limit, Age, time.Now()) }

func trim(dir string, limit int64, age time.Duration, now time.Time) {
	path := filepath.Join(dir, mark)
	if info, err := os.Stat(path); err == nil && now.Sub(info.ModTime()).Abs() < often {
		return
	}
	f, err := os.Create(path)
	if err != nil {
		return
	}
	f.Close()
	os.Chtimes(path, now, now)
	all, total := entries(dir)
	slices.SortFunc(all, func(a, b entry) int { return a.last.Compare(b.last) })
	start := time.Now()
	for _, e := range all {
		unused := now.Sub(e.last)
		if unused < often || total <= limit && unused < age || time.Since(start) > patience {
			return
		}
		if removed, _ := remove(e.path); removed {
			total -= e.size
		}
	}
}

// Removed says what [Clean] did.
type Removed struct {
	Entries int
	Bytes   int64
	InUse   int // entries that other processes have locked, and which stay
}

// Clean removes all entries that no process has locked, however new.
func Clean(dir string) (r Removed, err error) {
	all, _ := entries(dir)
	var errs []error
	for _, e := range all {
		removed, err := remove(e.path)
		switch {
		case err != nil:
			errs = append(errs, err)
		case removed:
			r.Entries++
			r.Bytes += e.size
		default:
			r.InUse++
		}
	}
	return r, errors.Join(errs...)
}

// Size returns the bytes of all entries and their number.
func Size(dir string) (bytes int64, n int) {
	all, bytes := entries(dir)
	return bytes, len(all)
}

// An entry is one as the trimming sees it.
type entry struct {
	path string
	last time.Time // when a use began
	size int64     // of its files
}

// entries lists all of them, and adds up their sizes.
func entries(dir string) (all []entry, total int64) {
	for _, kind := range kinds {
		list, _ := os.ReadDir(filepath.Join(dir, kind)) // what is not there has none
		for _, d := range list {
			e := measure(filepath.Join(dir, kind, d.Name()))
			all = append(all, e)
			total += e.size
		}
	}
	return all, total
}

// measure looks at an entry. One without a lock, a file or of an older tailor, was
// used last when it was touched.
func measure(path string) entry {
	e := entry{path: path}
	lock := filepath.Join(path, "lock")
	filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if name == lock || name == path {
			e.last = info.ModTime()
		}
		if !d.IsDir() {
			e.size += info.Size()
		}
		return nil
	})
	return e
}

// remove removes an entry, unless a process has locked it. It first gets another name,
// so that nobody finds a part of it: not who makes it anew meanwhile, nor who comes
// after a process that was killed here.
func remove(path string) (bool, error) {
	if strings.HasPrefix(filepath.Base(path), trash) {
		return true, os.RemoveAll(path)
	}
	switch info, err := os.Lstat(path); {
	case err != nil:
		return false, nil // another process was sooner
	case !info.IsDir():
		return true, os.RemoveAll(path)
	}
	e, err := lock(path, unix.LOCK_EX)
	if e == nil {
		return false, err
	}
	defer e.Close()
	to := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%d-%d", trash, os.Getpid(), removals.Add(1)))
	if err := os.Rename(path, to); err != nil {
		return false, err
	}
	return true, os.RemoveAll(to)
}
