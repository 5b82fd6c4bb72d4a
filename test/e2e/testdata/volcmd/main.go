// Command volcmd does with files what its arguments say, and prints what became of
// it: one line for each, so that a test can follow.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing/fstest"
	"time"
)

func main() {
	commands := map[string]func(args []string) error{
		"fill": fill, "readonly": readOnly, "hold": hold, "sum": sum, "twice": twice, "testfs": testFS, "write": write, "folder": folder,
	}
	f := commands[os.Args[1]]
	if f == nil {
		fmt.Println("no such command:", os.Args[1])
		os.Exit(2)
	}
	if err := f(os.Args[2:]); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// cause is the system's error in err.
func cause(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	}
	return err
}

// fill writes until there is no space, reads all of it, and writes again after a
// file was removed.
func fill(args []string) error {
	dir := args[0]
	block := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = writeSynced(filepath.Join(dir, fmt.Sprint("file", n)), block)
	}
	fmt.Println("full:", cause(err))
	for i := range n - 1 {
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("file", i)))
		if err != nil || !bytes.Equal(got, block) {
			return fmt.Errorf("file %d when full: %d bytes, %w", i, len(got), err)
		}
	}
	fmt.Println("read", n > 10)
	for _, name := range []string{"file0", fmt.Sprint("file", n-1)} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := writeSynced(filepath.Join(dir, "again"), block); err != nil {
		return err
	}
	fmt.Println("written again")
	return nil
}

func writeSynced(path string, text []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	return err
}

// readOnly tries to change things in a folder that has a file "f" and a folder "d".
func readOnly(args []string) error {
	f := filepath.Join(args[0], "f")
	d := filepath.Join(args[0], "d")
	n := filepath.Join(args[0], "new")
	for what, try := range map[string]func() error{
		"create":   func() error { return os.WriteFile(n, nil, 0o666) },
		"write":    func() error { _, err := os.OpenFile(f, os.O_WRONLY, 0); return err },
		"append":   func() error { _, err := os.OpenFile(f, os.O_RDWR|os.O_APPEND, 0); return err },
		"truncate": func() error { return os.Truncate(f, 0) },
		"mkdir":    func() error { return os.Mkdir(n, 0o777) },
		"remove":   func() error { return os.Remove(f) },
		"rmdir":    func() error { return os.Remove(d) },
		"rename":   func() error { return os.Rename(f, n) },
		"link":     func() error { return os.Link(f, n) },
		"symlink":  func() error { return os.Symlink("f", n) },
		"chmod":    func() error { return os.Chmod(f, 0o600) },
		"chown":    func() error { return os.Chown(f, 1, 1) },
		"chtimes":  func() error { return os.Chtimes(f, time.Unix(1, 0), time.Unix(1, 0)) },
	} {
		fmt.Println(what+":", cause(try()))
	}
	text, err := os.ReadFile(f)
	fmt.Printf("f %q\n", text)
	return err
}

// hold opens a file, and for each line of standard input does something with it:
// "sync" appends and syncs, "read" reads all of it anew.
func hold(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var err error
		switch in.Text() {
		case "sync":
			if _, err = f.WriteString("line\n"); err == nil {
				err = f.Sync()
			}
		case "read":
			_, err = io.Copy(io.Discard, io.NewSectionReader(f, 0, 1<<40))
		case "end":
			return nil
		}
		fmt.Printf("%s: %v\n", in.Text(), cause(err))
	}
	return nil
}

// sum prints how many files a folder has, and bytes in them.
func sum(args []string) error {
	files, size := 0, 0
	err := filepath.WalkDir(args[0], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		files, size = files+1, size+len(text)
		return err
	})
	fmt.Println("sum", files, size)
	return err
}

// twice is sum, then waits for a line and does it again, then waits for the end.
func twice(args []string) error {
	if err := sum(args); err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if err := sum(args); err != nil {
			return err
		}
	}
	return nil
}

// write writes a file of zeros: PATH SIZE.
func write(args []string) error {
	var n int
	if _, err := fmt.Sscan(args[1], &n); err != nil {
		return err
	}
	return writeSynced(args[0], make([]byte, n))
}

// testFS makes a tree in a folder, unless that is read-only, and has package
// testing/fstest look at it: FOLDER [ro].
func testFS(args []string) error {
	dir := args[0]
	want := []string{"a", "sub/b", "sub/deep/c"}
	if len(args) == 1 {
		for _, name := range want {
			path := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte(strings.Repeat(name, 5000)), 0o666); err != nil {
				return err
			}
		}
	}
	if err := fstest.TestFS(os.DirFS(dir), want...); err != nil {
		return err
	}
	fmt.Println("TestFS is content")
	return nil
}

// folder reads f of a folder, and writes "new" with the same text.
func folder(args []string) error {
	text, err := os.ReadFile(filepath.Join(args[0], "f"))
	if err != nil {
		return err
	}
	fmt.Printf("f %q\n", text)
	fmt.Println("write:", cause(writeSynced(filepath.Join(args[0], "new"), text)))
	return nil
}
