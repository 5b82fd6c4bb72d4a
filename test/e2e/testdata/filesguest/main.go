// Command filesguest looks at files that came with its image.
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"
)

func main() {
	commands := map[string]func(args []string) error{
		"list": list, "sum": sum, "mapped": mapped, "change": change, "serve": serve, "nothing": func([]string) error { return nil },
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// list prints what is below a folder.
func list(args []string) error {
	return fs.WalkDir(os.DirFS(args[0]), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Println(path, info.Mode(), info.ModTime().Unix())
		return nil
	})
}

// sum prints the checksum of each file.
func sum(args []string) error {
	for _, name := range args {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		h := sha256.New()
		n, err := io.Copy(h, f)
		if err != nil {
			return err
		}
		fmt.Printf("%d %x\n", n, h.Sum(nil))
	}
	return nil
}

// mapped prints the checksum of a mapped file, and the file itself to standard
// error, from the mapping.
func mapped(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := syscall.Mmap(int(f.Fd()), 0, int(info.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	fmt.Printf("%d %x\n", len(b), sha256.Sum256(b))
	os.Stderr.Write(b[:min(16, len(b))])
	return syscall.Munmap(b)
}

// change tries to change a file, and something beside it.
func change(args []string) error {
	name := args[0]
	for _, err := range []error{
		os.WriteFile(name, nil, 0o644), os.Chmod(name, 0), os.Truncate(name, 0), os.Remove(name),
		os.Rename(name, name+"2"), os.Rename("/etc/hostname", name), os.Chtimes(name, time.Now(), time.Now()),
		os.Link(name, "/tmp/link"), os.WriteFile(name+".beside", nil, 0o644),
	} {
		fmt.Println(err)
	}
	return nil
}

// serve shows what a file server tells of a file.
func serve(args []string) error {
	w := httptest.NewRecorder()
	http.FileServer(http.Dir(args[0])).ServeHTTP(w, httptest.NewRequest("GET", args[1], nil))
	fmt.Printf("%d %q %q %s", w.Code, w.Header().Get("Last-Modified"), w.Header().Get("Content-Type"), w.Body)
	return nil
}
