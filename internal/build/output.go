package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tailor-os/tailor/internal/hint"
)

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// outputPath returns where the result goes: the file or folder asked for, else
// a file in the current folder named after the program. What would fail after
// a long compilation fails here.
func outputPath(cfg Config, name string) (string, error) {
	out := abs(cfg.Dir, cfg.Output)
	if cfg.Output == "" {
		out = filepath.Join(cfg.Dir, name)
	} else if isDir(out) {
		out = filepath.Join(out, name)
	}
	info, err := os.Stat(out)
	switch {
	case err == nil && info.IsDir():
		return "", hint.Errorf("choose a name: -o FILE", "%s is a folder", out)
	case err == nil && !info.Mode().IsRegular() && out != os.DevNull:
		return "", hint.Errorf("choose another name: -o FILE", "%s is not a regular file and will not be replaced", out)
	}
	dir := filepath.Dir(out)
	info, err = os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", hint.Errorf("mkdir -p "+quote(dir), "the folder of the output does not exist: %s", dir)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", dir)
	}
	return out, nil
}

// replaceFile writes a file whole or not at all: what was there stays until
// the new one is complete.
func replaceFile(file string, mode fs.FileMode, write func(io.Writer) error) error {
	if file == os.DevNull {
		return write(io.Discard)
	}
	tmp, err := createBeside(file, mode)
	if err != nil {
		return err
	}
	err = write(tmp)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

// createBeside makes a new file in the folder of file, so that it can be
// renamed to it. Unlike os.CreateTemp it lets the umask decide on the mode.
func createBeside(file string, mode fs.FileMode) (*os.File, error) {
	for i := 0; ; i++ {
		name := filepath.Join(filepath.Dir(file), fmt.Sprintf(".%s.%d-%d.tmp", filepath.Base(file), os.Getpid(), i))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
		if !errors.Is(err, fs.ErrExist) || i == 100 {
			return f, err
		}
	}
}
