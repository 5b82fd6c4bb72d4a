package build

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/params"
)

// Services are the names of those that can be linked beside a program.
func Services() (names []string) {
	for _, s := range port.Services {
		names = append(names, s.Name)
	}
	return names
}

// linkServices finds out which services the program is to have: those of cfg, and the
// transports of its log that it imports.
func (p *program) linkServices(cfg Config, pkgs []listed) {
	want := slices.Clone(cfg.Services)
	for _, pkg := range pkgs {
		if name, ok := strings.CutPrefix(pkg.ImportPath, tailor.Module+"/logs/"); ok {
			want = append(want, "syslog+"+name)
		}
		p.attributes = p.attributes || pkg.ImportPath == "log/slog"
	}
	for _, name := range Services() {
		if slices.Contains(want, name) {
			p.services = append(p.services, name)
		}
	}
	p.network = p.network || len(p.services) > 0 // which import it
}

// checkLinked refuses parameters of a disk that ask for a service which its image has
// not.
func checkLinked(line string, services []string) error {
	words, err := params.Split(line)
	if err != nil {
		return err
	}
	if word, lacks := params.Lacking(words.System, services); lacks != "" {
		return hint.Errorf("add "+params.BuildFlag(lacks), "--params has %s, and the image no %s", word, lacks)
	}
	return nil
}

// linkFile is the file of the overlay by which package main has its services.
const linkFile = "tailor_linked.go"

// linkMain adds that file to package main.
func (p *Plan) linkMain(env GoEnv, prog program) error {
	dir := filepath.Join(p.cfg.CacheDir, "linked")
	if err := cache.Make(dir); err != nil {
		return err
	}
	if rel, err := filepath.Rel(env.GOMODCACHE, prog.Dir); env.GOMODCACHE != "" && err == nil && filepath.IsLocal(rel) {
		if prog.Dir, err = p.aliasModule(prog); err != nil {
			return err
		}
	}
	file := filepath.Join(dir, linkFile)
	err := replaceFile(file, 0o666, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "package main\n\nimport _ %q\n", port.Linked)
		return err
	})
	if err != nil {
		return err
	}
	extra := map[string]string{filepath.Join(prog.Dir, linkFile): file}
	maps.Copy(extra, p.port.Extra)
	p.port.Extra = extra
	if p.src.files {
		p.src.args = append(slices.Clone(p.src.args), filepath.Join(filepath.Dir(p.src.args[0]), linkFile)) // as the others are written
	}
	return nil
}

// linkName is the link, beside the go.mod that requires it, to the module of a fetched
// program. The name is in the program's record of its modules, so it must be the same
// on every machine.
const linkName = "linked"

// aliasModule makes the go command find the module of a fetched program behind a
// link, because an overlay cannot add to what is in Go's module cache.
// It returns the folder of the program there.
func (p *Plan) aliasModule(prog program) (dir string, err error) {
	m := prog.Module
	if rel, err := filepath.Rel(filepath.Join(p.cfg.CacheDir, cache.Fetched), p.src.dir); err != nil || !filepath.IsLocal(rel) || m == nil {
		return "", hint.Errorf("build it at a version: tailor build "+prog.ImportPath+"@latest",
			"%s is a package of another module, to which nothing can be added", prog.ImportPath)
	}
	link := filepath.Join(p.src.dir, linkName)
	if err := replaceLink(link, m.Dir); err != nil {
		return "", err
	}
	for _, suffix := range []string{"mod", "sum"} {
		text, err := os.ReadFile(filepath.Join(p.src.dir, "go."+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if suffix == "mod" {
			text = fmt.Appendf(text, "\nreplace %s => ./%s\n", m.Path, linkName)
		}
		err = replaceFile(filepath.Join(p.src.dir, "linked."+suffix), 0o666, func(w io.Writer) error {
			_, err := w.Write(text)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	p.src.env = slices.Clone(p.src.env)
	for i, v := range p.src.env {
		if strings.HasPrefix(v, "GOFLAGS=") {
			p.src.env[i] = strings.TrimRight(v, " ") + " -modfile=linked.mod"
		}
	}
	return filepath.Join(link, strings.TrimPrefix(prog.Dir, m.Dir)), nil
}

// replaceLink makes link a symbolic link to a folder, whatever it was.
func replaceLink(link, to string) error {
	if old, err := os.Readlink(link); err == nil && old == to {
		return nil
	}
	tmp := fmt.Sprintf("%s.%d.tmp", link, os.Getpid())
	os.Remove(tmp)
	if err := os.Symlink(to, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}
