// Command volguest prints what it was told and what it finds.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	_ "net" // what it is configured with is a part of what it was told
	"os"
	"path/filepath"
	"strings"
)

func main() {
	fmt.Println("args", strings.Join(os.Args[1:], " "))
	for _, v := range os.Environ() {
		fmt.Println(v)
	}
	host, _ := os.Hostname()
	fmt.Println("host", host)
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	fmt.Printf("%s", resolv)
	filepath.WalkDir("/etc/app", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() {
			text, err := os.ReadFile(path)
			fmt.Printf("%s %q\n", path, text)
			return err
		}
		return nil
	})
	var pe *fs.PathError
	if err := os.WriteFile("/etc/app/new", nil, 0o666); errors.As(err, &pe) {
		fmt.Println("write:", pe.Err)
	}
	if text, err := os.ReadFile("/run/secrets/key"); err == nil {
		st, _ := os.Stat("/run/secrets/key")
		fmt.Printf("secret %q %v\n", text, st.Mode())
	}
}
