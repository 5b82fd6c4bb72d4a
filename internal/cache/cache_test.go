package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// makeEntry makes an entry of 1000 bytes that was used that long ago.
func makeEntry(t *testing.T, dir string, unused time.Duration) {
	t.Helper()
	e, err := Lock(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	write(t, filepath.Join(dir, "src", "file"))
	age(t, e.lock.Name(), unused)
}

func write(t *testing.T, file string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, make([]byte, 1000), 0o666); err != nil {
		t.Fatal(err)
	}
}

func age(t *testing.T, path string, unused time.Duration) {
	t.Helper()
	when := time.Now().Add(-unused)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

// left lists the entries, as KIND/NAME.
func left(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		names = append(names, strings.TrimPrefix(path, dir+"/"))
	}
	return names
}

const day = 24 * time.Hour

func TestTrim(t *testing.T) {
	dir := t.TempDir()
	for name, unused := range map[string]time.Duration{
		"build/new": 0, "build/day": day, "build/old": 20 * day, "port/new": time.Minute, "port/two": 2 * day, "port/old": 15 * day,
	} {
		makeEntry(t, filepath.Join(dir, name), unused)
	}
	write(t, filepath.Join(dir, "conformance", "old.json"))
	age(t, filepath.Join(dir, "conformance", "old.json"), 15*day)
	write(t, filepath.Join(dir, "port", "unlocked", "src", "file")) // of an older tailor
	age(t, filepath.Join(dir, "port", "unlocked"), 15*day)
	now := time.Now()
	trim(dir, 10_000, Age, now)
	if got, want := left(t, dir), []string{"build/day", "build/new", "port/new", "port/two"}; !slices.Equal(got, want) {
		t.Fatalf("by age: %v, want %v", got, want)
	}
	makeEntry(t, filepath.Join(dir, "build/old"), 20*day)
	trim(dir, 3_500, Age, now.Add(often-time.Second))
	if got := left(t, dir); len(got) != 5 {
		t.Fatalf("it was trimmed again so soon: %v", got)
	}
	trim(dir, 3_500, Age, now.Add(often))
	if got, want := left(t, dir), []string{"build/day", "build/new", "port/new"}; !slices.Equal(got, want) {
		t.Errorf("by size: %v, want %v", got, want)
	}
	trim(dir, 0, Age, now.Add(2*often))
	if got := left(t, dir); len(got) != 0 {
		t.Errorf("of none: %v", got)
	}
}

// What was used within the hour stays, however large it is: the program may be about
// to start.
func TestTrimNew(t *testing.T) {
	dir := t.TempDir()
	makeEntry(t, filepath.Join(dir, "build/new"), 0)
	trim(dir, 0, 0, time.Now())
	if got := left(t, dir); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}

// A command that uses no cache makes none.
func TestTrimNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tailor")
	Trim(dir)
	if _, err := os.Stat(dir); err == nil {
		t.Error("there is one now")
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "build/key")
	e, err := Lock(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Lock(ctx, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a locked entry was locked: %v", err)
	}
	used := filepath.Join(dir, "port/key")
	if Reuse(used) {
		t.Error("an entry that is not there is used")
	}
	if err := errors.Join(Use(used), Use(used)); err != nil || !Reuse(used) {
		t.Errorf("an entry cannot be used by several: %v", err)
	}
	makeEntry(t, filepath.Join(dir, "fetch/key"), 0)
	// What is locked stays, whatever its age.
	trim(dir, 0, 0, time.Now().Add(20*day))
	r, err := Clean(dir)
	if r.InUse != 2 || r.Entries != 0 || err != nil || len(left(t, dir)) != 2 {
		t.Errorf("cleaned %+v, %v; left are %v", r, err, left(t, dir))
	}
	e.Close()
	if r, err = Clean(dir); r.InUse != 1 || r.Entries != 1 || err != nil {
		t.Errorf("cleaned %+v, %v", r, err)
	}
	if e, err = Lock(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	e.Close()
}

// A removal that was killed leaves nothing that anybody takes for an entry, and the
// next one removes the rest.
func TestTrash(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "port", trash+"1-1", "file"))
	if bytes, n := Size(dir); bytes != 1000 || n != 1 {
		t.Errorf("%d bytes in %d entries", bytes, n)
	}
	if r, err := Clean(dir); r.Entries != 1 || r.Bytes != 1000 || err != nil || len(left(t, dir)) != 0 {
		t.Errorf("cleaned %+v, %v; left are %v", r, err, left(t, dir))
	}
}

// Who uses an entry has all of it until it is closed, while others remove what they can.
func TestUseWhileOthersClean(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "port", "key")
	files := []string{"base", "src/a", "src/b", "src/c"}
	stop := make(chan struct{})
	var cleaners, users sync.WaitGroup
	for range 2 {
		cleaners.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := Clean(dir); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	made := make([]int, 2)
	for u := range made {
		users.Go(func() {
			for range 100 {
				made[u] += useOnce(t, key, files)
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
			}
		})
	}
	users.Wait()
	close(stop)
	cleaners.Wait()
	if n := made[0] + made[1]; n < 2 {
		t.Errorf("it was made %d times, so nothing was removed meanwhile", n)
	}
}

// useOnce makes what is in the entry, if it is not there, the file that says so last; and
// looks for it twice.
func useOnce(t *testing.T, key string, files []string) (made int) {
	e, err := share(key)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer e.Close()
	if _, err := os.Stat(filepath.Join(key, files[0])); err != nil {
		made = 1
		for _, f := range slices.Backward(files) {
			path := filepath.Join(key, f)
			if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, nil, 0o666)); err != nil {
				t.Error(err)
			}
		}
	}
	for range 2 {
		for _, f := range files {
			if _, err := os.Stat(filepath.Join(key, f)); err != nil {
				t.Errorf("in use: %v", err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	return made
}
