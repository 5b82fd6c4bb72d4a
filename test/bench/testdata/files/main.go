// Command files measures what a program can do with files in a folder, and prints
// a line for each: a name and a figure, megabytes or operations a second. What was
// written is synced before the clock is stopped.
//
// Usage:
//
//	files FOLDER MEGABYTES FILES RECORDS
//	files FOLDER cold READS
//
// The second reads at random from the file that the first has left.
package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	big   = 1 << 20
	small = 4096
	depth = 16 // goroutines
)

func main() {
	var n []int
	for _, arg := range os.Args[2:] {
		i, _ := strconv.Atoi(arg)
		n = append(n, i)
	}
	var err error
	if os.Args[2] == "cold" {
		err = cold(os.Args[1], n[1])
	} else {
		err = run(os.Args[1], n[0], n[1], n[2])
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(dir string, megabytes, files, records int) error {
	path := filepath.Join(dir, "file")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(megabytes) * big
	return errors.Join(
		measure("seqwrite", float64(megabytes), func() error { return sequential(f, size, f.WriteAt) }, f.Sync),
		measure("seqread", float64(megabytes), func() error { return sequential(f, size, f.ReadAt) }, nil),
		random(f, "read1", size, 1, 16*records, f.ReadAt, nil),
		random(f, "read16", size, depth, 16*records, f.ReadAt, nil),
		random(f, "write1", size, 1, 16*records, f.WriteAt, f.Sync),
		random(f, "write16", size, depth, 16*records, f.WriteAt, f.Sync),
		appends(filepath.Join(dir, "log"), records),
		names(filepath.Join(dir, "names"), files),
	)
}

func cold(dir string, n int) error {
	f, err := os.Open(filepath.Join(dir, "file"))
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return errors.Join(
		random(f, "cold1", st.Size(), 1, n, f.ReadAt, nil),
		random(f, "cold16", st.Size(), depth, n, f.ReadAt, nil),
	)
}

// measure prints how many of n are done in a second.
func measure(name string, n float64, f, sync func() error) error {
	start := time.Now()
	err := f()
	if err == nil && sync != nil {
		err = sync()
	}
	fmt.Println(name, n/time.Since(start).Seconds())
	return err
}

func sequential(f *os.File, size int64, move func([]byte, int64) (int, error)) error {
	p := make([]byte, big)
	for i := range p {
		p[i] = byte(i)
	}
	for off := int64(0); off < size; off += big {
		if _, err := move(p, off); err != nil {
			return err
		}
	}
	return nil
}

// random moves n blocks at random places from so many goroutines at once.
func random(f *os.File, name string, size int64, at, n int, move func([]byte, int64) (int, error), sync func() error) error {
	return measure(name, float64(n), func() error { return concurrently(at, n, size, move) }, sync)
}

func concurrently(at, n int, size int64, move func([]byte, int64) (int, error)) error {
	errs := make([]error, at)
	var all sync.WaitGroup
	for g := range at {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), uint64(n)))
			p := make([]byte, small)
			for i := g; i < n && errs[g] == nil; i += at {
				_, errs[g] = move(p, r.Int64N(size/small)*small)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// appends syncs each record.
func appends(path string, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer f.Close()
	record := make([]byte, 100)
	return measure("append", float64(n), func() error {
		for range n {
			if _, err := f.Write(record); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}

// names makes, looks at and removes small files.
func names(dir string, n int) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	path := func(i int) string { return filepath.Join(dir, fmt.Sprint("file", i)) }
	each := func(f func(i int) error) func() error {
		return func() error {
			for i := range n {
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return errors.Join(
		measure("create", float64(n), each(func(i int) error { return create(path(i)) }), d.Sync),
		measure("stat", float64(n), each(func(i int) error { _, err := os.Stat(path(i)); return err }), nil),
		measure("remove", float64(n), each(func(i int) error { return os.Remove(path(i)) }), d.Sync),
	)
}

func create(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, "a small file")
	return errors.Join(err, f.Close())
}
