// Package cache is the folder in which the tool keeps what it can make again.
//
// It has a folder for each kind of entry: what packages build and port make, each
// under a name that says what it was made from. An entry that is a folder has a file
// "lock", whose lock says that a process uses it, and whose time says when one began
// to. [Trim] removes what was not used for long, and is content to find out once an
// hour. Several processes may do all of this at the same time.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// The kinds of entries.
const (
	Builds      = "build"       // the linker's last output for a program, and its image
	Ports       = "port"        // derived runtime ports
	Fetched     = "fetch"       // modules that require a package at a version
	Trees       = "goroot"      // Go trees of links
	Conformance = "conformance" // how the standard library's tests end on Linux; files
)

var kinds = []string{Builds, Ports, Fetched, Trees, Conformance}

const writable = "export XDG_CACHE_HOME=/path/to/a/folder that can be written"

// Dir returns the folder of the cache. It need not exist.
func Dir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", hint.Errorf("export HOME, or XDG_CACHE_HOME=/path/to/a/folder", "no folder for the cache: %w", err)
	}
	return filepath.Join(dir, "tailor"), nil
}

// Make makes a folder of the cache.
func Make(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hint.With(fmt.Errorf("make the cache: %w", err), writable)
	}
	return nil
}

// An Entry is a folder of the cache that this process has locked.
type Entry struct {
	Dir  string
	lock *os.File
}

// Close lets others have the entry.
func (e *Entry) Close() { e.lock.Close() }

// Lock makes the entry dir, if it is not there, and keeps others from using it. It
// waits for another process that does.
func Lock(ctx context.Context, dir string) (*Entry, error) {
	for {
		e, err := try(dir, unix.LOCK_EX)
		if e != nil || err != nil {
			return e, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// held are the entries that Use has locked: a file that nobody knows is closed.
var held struct {
	sync.Mutex
	entries []*Entry
}

func (e *Entry) keep() {
	held.Lock()
	defer held.Unlock()
	held.entries = append(held.entries, e)
}

// Use makes the entry dir, if it is not there, and keeps it from being removed as long
// as this process lives. Others may use it as well.
func Use(dir string) error {
	e, err := share(dir)
	if err != nil {
		return err
	}
	e.keep()
	return nil
}

// Reuse is Use of an entry that is there, and reports whether it is.
func Reuse(dir string) bool {
	e, err := lock(dir, unix.LOCK_SH)
	if e == nil || err != nil {
		return false
	}
	Touch(e.lock.Name())
	e.keep()
	return true
}

// share is Use until the entry is closed. Who locks it all for themselves, to remove
// it, is done at once.
func share(dir string) (*Entry, error) {
	for {
		e, err := try(dir, unix.LOCK_SH)
		if e != nil || err != nil {
			return e, err
		}
		time.Sleep(time.Millisecond)
	}
}

// try makes and locks an entry; nil if another process has it or has just removed it.
func try(dir string, how int) (*Entry, error) {
	switch err := Make(dir); {
	case errors.Is(err, fs.ErrExist): // no more: it was removed between two looks at it
		return nil, nil
	case err != nil:
		return nil, err
	}
	e, err := lock(dir, how)
	if err != nil {
		return nil, hint.With(fmt.Errorf("lock the cache: %w", err), writable)
	}
	if e != nil {
		Touch(e.lock.Name())
	}
	return e, nil
}

// lock locks an entry that is there, else as try.
func lock(dir string, how int) (*Entry, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK || err == unix.EINTR {
			return nil, nil
		}
		return nil, os.NewSyscallError("flock", err)
	}
	// It may have been removed between open and lock.
	mine, err1 := f.Stat()
	there, err2 := os.Stat(f.Name())
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, nil
	}
	return &Entry{dir, f}, nil
}

// Touch marks a file or folder as used now and reports whether it is there.
func Touch(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}
