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
	"strconv"
	"strings"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/params"
)

// Transports lists those of syslog.
var Transports = []string{"udp", "tcp", "tls"}

// linkLogs finds out which transports of syslog the program is to have: those of
// cfg, and those that it imports.
func (p *program) linkLogs(cfg Config, pkgs []listed) {
	want := slices.Clone(cfg.Logs)
	for _, pkg := range pkgs {
		if name, ok := strings.CutPrefix(pkg.ImportPath, tailor.Module+"/logs/"); ok && slices.Contains(Transports, name) {
			want = append(want, name)
		}
		p.attributes = p.attributes || pkg.ImportPath == "log/slog"
	}
	for _, name := range Transports {
		if slices.Contains(want, name) {
			p.logs = append(p.logs, name)
		}
	}
	p.network = p.network || len(p.logs) > 0
}

// checkSyslog refuses parameters of a disk that ask for a transport which its
// image has not.
func checkSyslog(line string, logs []string) error {
	words, err := params.Split(line)
	if err != nil {
		return err
	}
	for _, w := range words.System {
		url, ok := strings.CutPrefix(w, "syslog=")
		if scheme, _, _ := params.ParseSyslog(url); ok && !slices.Contains(logs, scheme) {
			return hint.Errorf("add --log syslog+"+scheme, "--params has %s, and the image no such transport", w)
		}
	}
	return nil
}

// linkFile is the file of the overlay by which package main has what sends its
// log.
const linkFile = "tailor_logs.go"

// linkMain adds that file to package main.
func (p *Plan) linkMain(env GoEnv, prog program) error {
	if rel, err := filepath.Rel(env.GOMODCACHE, prog.Dir); env.GOMODCACHE != "" && err == nil && filepath.IsLocal(rel) {
		if prog.Dir, err = p.aliasModule(prog); err != nil {
			return err
		}
	}
	dir := filepath.Join(p.cfg.CacheDir, "linked")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return hint.With(fmt.Errorf("make the cache: %w", err), cacheHint)
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

// aliasModule makes the go command find the module of a fetched program behind a
// link, because an overlay cannot add to what is in Go's module cache. It returns
// the folder of the program there.
func (p *Plan) aliasModule(prog program) (dir string, err error) {
	m := prog.Module
	if rel, err := filepath.Rel(filepath.Join(p.cfg.CacheDir, "fetch"), p.src.dir); err != nil || !filepath.IsLocal(rel) || m == nil {
		return "", hint.Errorf("build it at a version: tailor build --log ... "+prog.ImportPath+"@latest",
			"%s is a package of another module, to which nothing can be added", prog.ImportPath)
	}
	link := filepath.Join(p.cfg.CacheDir, "linked", shortHash(m.Dir))
	if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
		return "", hint.With(fmt.Errorf("make the cache: %w", err), cacheHint)
	}
	if err := os.Symlink(m.Dir, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	for _, suffix := range []string{"mod", "sum"} {
		text, err := os.ReadFile(filepath.Join(p.src.dir, "go."+suffix))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if suffix == "mod" {
			text = fmt.Appendf(text, "\nreplace %s => %s\n", m.Path, strconv.Quote(link))
		}
		err = replaceFile(filepath.Join(p.src.dir, "logs."+suffix), 0o666, func(w io.Writer) error {
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
			p.src.env[i] = strings.TrimRight(v, " ") + " -modfile=logs.mod"
		}
	}
	return filepath.Join(link, strings.TrimPrefix(prog.Dir, m.Dir)), nil
}
