package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

// exactVersion matches a version that always means the same code.
var exactVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$`)

// fetch makes a module that requires path@version and nothing else, as go
// install does, in the cache. The main package itself stays in Go's module
// cache. An exact version is asked for once, others (latest, a branch) anew
// each time.
func fetch(ctx context.Context, g *goCmd, cfg Config, arg string) (source, error) {
	path, version, _ := strings.Cut(arg, "@")
	if path == "" || version == "" || strings.ContainsAny(arg, " \t\n") || strings.HasPrefix(path, "-") {
		return source{}, hint.Errorf("write IMPORTPATH@VERSION, such as example.com/cmd/server@v1.2.3 or @latest",
			"%q is not a package at a version", arg)
	}
	root := filepath.Join(cfg.CacheDir, "fetch")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return source{}, fmt.Errorf("make the cache: %w", err)
	}
	env, err := fetchEnv(ctx, g, root)
	if err != nil {
		return source{}, err
	}
	dir := filepath.Join(root, shortHash(arg))
	if !exactVersion.MatchString(version) || !touch(dir) {
		if dir, err = fetchInto(ctx, g, root, dir, env, arg); err != nil {
			return source{}, err
		}
	}
	return source{dir: dir, args: []string{path}, env: env, name: baseName(path)}, nil
}

// fetchEnv is the environment of go commands in a fetched module: the user's
// workspace and choice of go.mod are about other code.
func fetchEnv(ctx context.Context, g *goCmd, dir string) ([]string, error) {
	e, err := g.env(ctx, dir)
	if err != nil {
		return nil, err
	}
	fields, err := splitQuoted(e.GOFLAGS)
	if err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	var keep []string
	for _, f := range fields {
		name, _, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		if name != "mod" && name != "modfile" {
			keep = append(keep, quoteField(f))
		}
	}
	return []string{"GOWORK=off", "GOFLAGS=" + strings.Join(keep, " ")}, nil
}

// quoteField is the inverse of splitQuoted for one field.
func quoteField(f string) string {
	switch {
	case !strings.ContainsAny(f, " \t\n\r'\""):
		return f
	case strings.Contains(f, "'"):
		return `"` + f + `"`
	}
	return "'" + f + "'"
}

// fetchInto does the work in a folder of its own and moves it to dir when it
// is whole.
func fetchInto(ctx context.Context, g *goCmd, root, dir string, env []string, arg string) (string, error) {
	tmp, err := os.MkdirTemp(root, ".tmp-")
	if err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	defer os.RemoveAll(tmp)
	// The language version is of no consequence: the module has no code.
	gomod := []byte("module tailor.invalid/fetch\n\ngo 1.21\n")
	if err := os.WriteFile(filepath.Join(tmp, "go.mod"), gomod, 0o600); err != nil {
		return "", err
	}
	if _, err := g.output(ctx, tmp, env, "get", "--", arg); err != nil {
		return "", hint.With(fmt.Errorf("fetch %s: %w", arg, err), "check the name and the version, and go env GOPROXY")
	}
	if err := refuseReplace(ctx, g, tmp, env, arg); err != nil {
		return "", err
	}
	_, version, _ := strings.Cut(arg, "@")
	if !exactVersion.MatchString(version) {
		text, err := os.ReadFile(filepath.Join(tmp, "go.mod"))
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, shortHash(arg+string(text)))
	}
	if err := os.Rename(tmp, dir); err != nil && !touch(dir) {
		return "", fmt.Errorf("fetch %s: %w", arg, err)
	}
	return dir, nil
}

// refuseReplace follows go install: a module whose go.mod replaces others
// would be built from other code than its authors build.
func refuseReplace(ctx context.Context, g *goCmd, dir string, env []string, arg string) error {
	path, _, _ := strings.Cut(arg, "@")
	out, err := g.output(ctx, dir, env, "list", "-e", "-f", "{{with .Module}}{{.GoMod}}{{end}}", "--", path)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", arg, err)
	}
	gomod := strings.TrimSpace(string(out))
	if gomod == "" {
		return nil // not a package; the plan will say so
	}
	if out, err = g.output(ctx, dir, env, "mod", "edit", "-json", gomod); err != nil {
		return fmt.Errorf("fetch %s: %w", arg, err)
	}
	var mod struct{ Replace, Exclude []json.RawMessage }
	if err := json.Unmarshal(out, &mod); err != nil {
		return fmt.Errorf("fetch %s: %w", arg, err)
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		return hint.Errorf("clone its repository and build from there",
			"%s: its go.mod has replace or exclude directives, which count only in its own module (as for go install)", arg)
	}
	return nil
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:10])
}

// touch marks path as used now and reports whether it is there.
func touch(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}
