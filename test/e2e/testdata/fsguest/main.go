// Fsguest does what it is told to files, one command an argument:
// "fsguest COMMAND:PATH[:MORE] ...". Each prints one line, or more.
package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

var commands = map[string]func(path, more string) (string, error){
	"cat":      func(p, _ string) (string, error) { b, err := os.ReadFile(p); return string(b), err },
	"ls":       list,
	"walk":     walk,
	"sum":      sum,
	"write":    func(p, text string) (string, error) { return "ok", os.WriteFile(p, []byte(text), 0o640) },
	"append":   appendTo,
	"mkdir":    func(p, _ string) (string, error) { return "ok", os.MkdirAll(p, 0o755) },
	"rm":       func(p, _ string) (string, error) { return "ok", os.RemoveAll(p) },
	"mv":       func(p, to string) (string, error) { return "ok", os.Rename(p, to) },
	"ln":       func(p, to string) (string, error) { return "ok", os.Link(p, to) },
	"symlink":  func(p, to string) (string, error) { return "ok", os.Symlink(to, p) },
	"readlink": func(p, _ string) (string, error) { return os.Readlink(p) },
	"stat":     stat,
	"chmod":    chmod,
	"truncate": func(p, _ string) (string, error) { return "ok", os.Truncate(p, 3) },
	"fsync":    fsync,
	"temp":     temp,
	"parallel": parallel,
	"time":     timed,
	"wait":     wait,
	"fill":     fill,
	"opens":    opens,
}

func main() {
	for _, arg := range os.Args[1:] {
		f := strings.SplitN(arg, ":", 3)
		f = append(f, "", "")
		out, err := commands[f[0]](f[1], f[2])
		fmt.Printf("%s %s: ", f[0], f[1])
		if err != nil {
			var errno syscall.Errno
			if errors.As(err, &errno) {
				err = errno
			}
			fmt.Println("error:", err)
			continue
		}
		fmt.Println(out)
	}
}

func list(p, _ string) (string, error) {
	entries, err := os.ReadDir(p)
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return strings.Join(names, " "), err
}

// walk counts what is in a tree and looks at each file.
func walk(p, _ string) (string, error) {
	files, dirs, bytes := 0, 0, int64(0)
	begin := time.Now()
	err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			dirs++
			return nil
		}
		info, err := os.Lstat(path)
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	fmt.Fprintf(os.Stderr, "walk of %d files: %v\n", files, time.Since(begin))
	return fmt.Sprintf("%d files, %d directories, %d bytes", files, dirs, bytes), err
}

func sum(p, _ string) (string, error) {
	f, err := os.Open(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20))
	return fmt.Sprintf("%d %x", n, h.Sum(nil)), err
}

func appendTo(p, text string) (string, error) {
	f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, part := range strings.SplitAfter(text, ",") {
		if _, err := f.WriteString(part); err != nil {
			return "", err
		}
	}
	off, err := f.Seek(0, io.SeekCurrent)
	return fmt.Sprint("at ", off), err
}

func stat(p, _ string) (string, error) {
	i, err := os.Lstat(p)
	if err != nil {
		return "", err
	}
	s := i.Sys().(*syscall.Stat_t)
	return fmt.Sprintf("%v %d owner %d:%d", i.Mode(), i.Size(), s.Uid, s.Gid), nil
}

func chmod(p, _ string) (string, error) {
	if err := os.Chmod(p, 0o600); err != nil {
		return "", err
	}
	if err := os.Chown(p, 0, 0); err != nil {
		return "", err
	}
	when := time.Unix(1e9, 123456789)
	if err := os.Chtimes(p, when, when); err != nil {
		return "", err
	}
	i, err := os.Stat(p)
	if err == nil && !i.ModTime().Equal(when) {
		return fmt.Sprint("its time is ", i.ModTime()), nil
	}
	if err := os.Chmod(p, 0o600|os.ModeSetuid); !errors.Is(err, os.ErrPermission) {
		return "set-user-ID was not refused", err
	}
	if err := os.Chown(p, 1, 1); !errors.Is(err, os.ErrPermission) {
		return "another owner was not refused", err
	}
	return "ok", err
}

func fsync(p, _ string) (string, error) {
	f, err := os.Create(p)
	if err != nil {
		return "", err
	}
	defer f.Close()
	// The program goes on while the host's disk works.
	ticks := 0
	done := make(chan error)
	go func() {
		_, err := f.WriteString("on the disk")
		for range 5 {
			if err == nil {
				err = f.Sync()
			}
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			return "ok", err
		default:
			ticks++
			time.Sleep(time.Millisecond)
		}
	}
}

// temp uses a file after its name is gone.
func temp(p, _ string) (string, error) {
	f, err := os.CreateTemp(p, "x-*")
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return "", err
	}
	if _, err := f.WriteString("still here"); err != nil {
		return "", err
	}
	if err := f.Truncate(5); err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	b := make([]byte, 10)
	n, err := f.ReadAt(b, 0)
	if err != io.EOF {
		return "", fmt.Errorf("read: %w", err)
	}
	_, err = os.Stat(f.Name())
	return fmt.Sprintf("%d %s %v", info.Size(), b[:n], os.IsNotExist(err)), nil
}

// parallel reads a file from many goroutines at once.
func parallel(p, _ string) (string, error) {
	want, err := sum(p, "")
	if err != nil {
		return "", err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 100)
	for i := range 20 {
		wg.Go(func() {
			got, err := sum(p, "")
			if err == nil && got != want {
				err = fmt.Errorf("got %s, want %s", got, want)
			}
			if err == nil && i%4 == 0 {
				_, err = list(filepath.Dir(p), "")
			}
			if err != nil {
				errs <- err
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return "", err
	default:
		return "ok", nil
	}
}

// timed says on standard error how fast a file is read and opened.
func timed(p, _ string) (string, error) {
	for _, size := range []int{4 << 10, 64 << 10, 128 << 10, 1 << 20} {
		f, err := os.Open(p)
		if err != nil {
			return "", err
		}
		buf := make([]byte, size)
		begin, total := time.Now(), 0
		for {
			n, err := f.Read(buf)
			total += n
			if err != nil {
				break
			}
		}
		f.Close()
		took := time.Since(begin)
		fmt.Fprintf(os.Stderr, "read by %d KiB: %.0f MB/s\n", size>>10, float64(total)/1e6/took.Seconds())
	}
	return "ok", nil
}

// opens says what it costs to open, read and close a small file.
func opens(p, _ string) (string, error) {
	const n = 1000
	begin := time.Now()
	for range n {
		if _, err := os.ReadFile(p); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(os.Stderr, "os.ReadFile: %v each\n", time.Since(begin)/n)
	begin = time.Now()
	for range n {
		f, err := os.Open(p)
		if err != nil {
			return "", err
		}
		f.Close()
	}
	fmt.Fprintf(os.Stderr, "open and close: %v each\n", time.Since(begin)/n)
	begin = time.Now()
	for range n {
		if _, err := os.Stat(p); err != nil {
			return "", err
		}
	}
	fmt.Fprintf(os.Stderr, "stat: %v each\n", time.Since(begin)/n)
	return "ok", nil
}

// wait prints and then waits for a file to come, or to go.
func wait(p, more string) (string, error) {
	fmt.Println("waiting for", filepath.Base(p))
	for range 5000 {
		_, err := os.Stat(p)
		if (err == nil) == (more != "gone") {
			return "ok", nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return "", errors.New("it does not come")
}

// fill makes files in a directory until one fails, and removes them.
func fill(p, _ string) (string, error) {
	var names []string
	for i := range 300 {
		name := fmt.Sprintf("%s/f%03d", p, i)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			return "", err
		}
		names = append(names, filepath.Base(name))
	}
	got, err := list(p, "")
	sort.Strings(names)
	if err == nil && got != strings.Join(names, " ") {
		return "the names are " + got, nil
	}
	return "ok", os.RemoveAll(p)
}
