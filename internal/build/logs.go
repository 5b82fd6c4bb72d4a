package build

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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

// linkMain adds that file to package main. Packages in Go's module cache cannot
// be added to by an overlay.
func (p *Plan) linkMain(env GoEnv, prog program) error {
	if rel, err := filepath.Rel(env.GOMODCACHE, prog.Dir); env.GOMODCACHE != "" && err == nil && filepath.IsLocal(rel) {
		return hint.Errorf("fetch its source, and build that: git clone, then tailor build --log ... ./cmd/...",
			"%s is in Go's module cache, where nothing can be added to it: --log needs a package of a folder", prog.ImportPath)
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
		p.src.args = append(slices.Clone(p.src.args), filepath.Join(prog.Dir, linkFile))
	}
	return nil
}
