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

	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/hint"
)

// exactVersion matches a version that always means the same code.
var exactVersion = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?(\+incompatible)?$`)

// fetch makes a module in the cache that requires the module of path@version
// and nothing else, as go install does. The package itself stays in Go's module
// cache. An exact version is asked for once, others (latest, a branch) anew
// each time.
func fetch(ctx context.Context, g *goCmd, cfg Config, arg string) (source, error) {
	path, version, _ := strings.Cut(arg, "@")
	if path == "" || version == "" || strings.ContainsAny(arg, " \t\n") || strings.HasPrefix(path, "-") {
		return source{}, hint.Errorf("write IMPORTPATH@VERSION, such as example.com/cmd/server@v1.2.3 or @latest",
			"%q is not a package at a version", arg)
	}
	root := filepath.Join(cfg.CacheDir, cache.Fetched)
	if err := cache.Make(root); err != nil {
		return source{}, err
	}
	env, err := fetchEnv(ctx, g, root)
	if err != nil {
		return source{}, err
	}
	dir := filepath.Join(root, shortHash(arg))
	if !exactVersion.MatchString(version) || !cache.Reuse(dir) {
		f := fetcher{g, root, env, arg, path}
		if dir, err = f.fetch(ctx, dir, exactVersion.MatchString(version)); err != nil {
			return source{}, fmt.Errorf("fetch %s: %w", arg, err)
		}
	}
	return source{dir: dir, args: []string{path}, env: env, name: baseName(path), fetched: true}, nil
}

// fetchEnv is the environment of go commands in a fetched module: the user's
// workspace and choice of go.mod are about other code.
func fetchEnv(ctx context.Context, g *goCmd, dir string) ([]string, error) {
	e, err := g.env(ctx, dir, nil)
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

// A fetcher gets one package at a version.
type fetcher struct {
	g    *goCmd
	root string   // folder of all that is fetched
	env  []string // of the go commands
	arg  string   // path@version
	path string
}

// fetch does the work in a folder of its own and moves it to dir, or for a
// version that is not exact to a folder of the version found, when it is whole.
func (f fetcher) fetch(ctx context.Context, dir string, exact bool) (string, error) {
	tmp, err := os.MkdirTemp(f.root, ".tmp-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	if err := cache.Use(tmp); err != nil {
		return "", err
	}
	version, err := f.require(ctx, tmp)
	if err != nil {
		return "", err
	}
	if !exact {
		dir = filepath.Join(f.root, shortHash(f.path+"@"+version))
	}
	if err := os.Rename(tmp, dir); err != nil && !cache.Reuse(dir) {
		return "", err
	}
	return dir, nil
}

// A fetched is the module that holds the package.
type fetched struct{ Version, GoVersion, GoMod string }

// require makes the module in dir and returns the version that it requires.
// Its language version becomes that of the module it requires, as for go
// install: the defaults of GODEBUG follow from it.
func (f fetcher) require(ctx context.Context, dir string) (version string, err error) {
	m, err := f.get(ctx, dir, "1.21")
	if err != nil {
		return "", err
	}
	if m.GoVersion == "" {
		m.GoVersion = "1.16" // as go takes a go.mod that does not say
	}
	if m, err = f.get(ctx, dir, m.GoVersion); err != nil {
		return "", err
	}
	return m.Version, f.refuseReplace(ctx, dir, m.GoMod)
}

// get writes a go.mod of the given language version and has go get complete it.
func (f fetcher) get(ctx context.Context, dir, goVersion string) (m fetched, err error) {
	gomod := "module tailor.invalid/fetch\n\ngo " + goVersion + "\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(gomod), 0o600); err != nil {
		return m, err
	}
	if _, err := f.g.output(ctx, dir, f.env, "get", "--", f.arg); err != nil {
		return m, hint.With(err, "check the name and the version, and where modules come from: go env GOPROXY")
	}
	out, err := f.g.output(ctx, dir, f.env, "list", "-e", "-json=Module", "--", f.path)
	if err != nil {
		return m, err
	}
	var pkg struct{ Module *fetched }
	if err := json.Unmarshal(out, &pkg); err != nil {
		return m, err
	}
	if pkg.Module == nil || pkg.Module.GoMod == "" {
		return m, fmt.Errorf("%s is not a package of a module", f.path)
	}
	return *pkg.Module, nil
}

// refuseReplace follows go install: a module whose go.mod replaces others
// could be built from other code than the version stands for.
func (f fetcher) refuseReplace(ctx context.Context, dir, gomod string) error {
	out, err := f.g.output(ctx, dir, f.env, "mod", "edit", "-json", gomod)
	if err != nil {
		return err
	}
	var mod struct{ Replace, Exclude []json.RawMessage }
	if err := json.Unmarshal(out, &mod); err != nil {
		return err
	}
	if len(mod.Replace)+len(mod.Exclude) > 0 {
		return hint.Errorf("clone its repository and build it there",
			"its go.mod has replace or exclude directives, which no version can be built with (go install refuses them too)")
	}
	return nil
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:10])
}
