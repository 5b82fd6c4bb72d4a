package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
)

// A source is where go commands run and what they are given to find the
// program.
type source struct {
	dir   string   // where go commands run
	args  []string // packages or files, as go build takes them
	files bool     // args are .go files
	// fetched is set if it is a module that requires the program's, made here.
	fetched bool
	name    string // what the program is called, "" to take the import path's

	env []string // settings of go commands that go with dir
}

// resolve turns what the user wrote into a source.
func resolve(ctx context.Context, g *goCmd, cfg Config) (source, error) {
	if len(cfg.Args) == 0 {
		return source{}, hint.Errorf("name one, such as . or ./cmd/server", "no package given")
	}
	first := cfg.Args[0]
	switch {
	case strings.HasSuffix(first, ".go"):
		return resolveFiles(cfg)
	case len(cfg.Args) > 1:
		return source{}, hint.Errorf("build them one after the other", "more than one package: %s", strings.Join(cfg.Args, " "))
	case first == "":
		return source{}, errors.New("the package's name is empty")
	case strings.Contains(first, "..."):
		return source{}, hint.Errorf("name one package; go list "+first+" lists them", "%s is a pattern, not a package", first)
	case isLocal(first):
		return resolveDir(cfg, first)
	case strings.Contains(first, "@"):
		return fetch(ctx, g, cfg, first)
	}
	return source{dir: cfg.Dir, args: []string{first}}, nil
}

// isLocal reports whether arg is a path of the file system, by go's own rule.
func isLocal(arg string) bool {
	return filepath.IsAbs(arg) || arg == "." || arg == ".." ||
		strings.HasPrefix(arg, "./") || strings.HasPrefix(arg, "../")
}

// resolveDir finds a package by its folder. Inside the module of the current
// folder go runs there, so that messages name files the way the user does;
// otherwise it runs in the package's own folder.
func resolveDir(cfg Config, arg string) (source, error) {
	dir := abs(cfg.Dir, arg)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return source{}, hint.Errorf(nearbyHint(cfg.Dir, arg), "no such folder: %s", arg)
	case err != nil:
		return source{}, err
	case !info.IsDir():
		return source{}, fmt.Errorf("%s is not a folder", arg)
	}
	if moduleRoot(dir) == moduleRoot(cfg.Dir) {
		return source{dir: cfg.Dir, args: []string{arg}}, nil
	}
	return source{dir: dir, args: []string{"."}}, nil
}

// nearbyHint says what is there instead of a folder that is not.
func nearbyHint(dir, arg string) string {
	parent := filepath.Dir(abs(dir, arg))
	if _, err := os.Stat(parent); err != nil {
		return "check the path; it is relative to " + dir
	}
	return "list what is there: ls " + quote(filepath.Dir(filepath.Clean(arg)))
}

func resolveFiles(cfg Config) (source, error) {
	var dirs []string
	for _, arg := range cfg.Args {
		if !strings.HasSuffix(arg, ".go") {
			return source{}, hint.Errorf("give either .go files or one package", "%s is not a .go file", arg)
		}
		file := abs(cfg.Dir, arg)
		if _, err := os.Stat(file); err != nil {
			return source{}, fmt.Errorf("no such file: %s", arg)
		}
		dirs = append(dirs, filepath.Dir(file))
		if dirs[0] != filepath.Dir(file) {
			return source{}, hint.Errorf("a program's files lie in one folder", "%s and %s lie in different folders", cfg.Args[0], arg)
		}
	}
	src := source{
		dir:   cfg.Dir,
		args:  cfg.Args,
		files: true,
		name:  strings.TrimSuffix(filepath.Base(cfg.Args[0]), ".go"),
	}
	if moduleRoot(dirs[0]) != moduleRoot(cfg.Dir) {
		src.dir, src.args = dirs[0], nil
		for _, arg := range cfg.Args {
			src.args = append(src.args, filepath.Base(arg))
		}
	}
	return src, nil
}

// moduleRoot returns the folder of the go.mod that governs dir, "" if there is
// none.
func moduleRoot(dir string) string {
	for {
		if info, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil && !info.IsDir() {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}
		dir = parent
	}
}
