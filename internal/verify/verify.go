// Package verify proves that a build is reproducible: it builds a program as usual,
// then twice more from clean caches, of copies of its source in other folders and with
// everything else different that should have no effect, and compares the bytes.
package verify

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/compare"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/port"
)

// A Config says what to verify.
type Config struct {
	Build build.Config
	Tool  string // the path of this tool
	// Progress tells what is being done, until the function that it returns is called.
	Progress func(what string) (stop func())
}

// A Report says what was built, and whether it is the same. Its JSON form is
// documented in docs/cli.md and only ever grows.
type Report struct {
	Same   bool    `json:"same"`
	SHA256 string  `json:"sha256"` // of the build as usual
	Bytes  int64   `json:"bytes"`
	Builds []Built `json:"builds"` // as usual, then from clean caches
	// Equal is what was the same for all of them and decides on the bytes, Different
	// what was not and must not.
	Equal     []string `json:"equal"`
	Different []string `json:"different"`
	// Differences are those of the first build to each that is not the same.
	Differences []*compare.Report `json:"differences"`
	// Kept is the folder of the images if they differ.
	Kept string `json:"kept,omitempty"`
}

// A Built is one of the builds.
type Built struct {
	Name    string  `json:"name"`
	Image   string  `json:"image,omitempty"` // if it was kept
	SHA256  string  `json:"sha256"`
	Seconds float64 `json:"seconds"`
}

// A run is what the steps of Run share.
type run struct {
	cfg  Config
	tmp  string
	name string // of the file that is built
	plan *build.Plan
	*Report
}

// Run builds and compares. The error is one of building; what differs is in the
// report. Unless something does, nothing is left behind but what the usual build left
// in the caches.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	tmp, err := os.MkdirTemp("", "tailor-verify-")
	if err != nil {
		return nil, hint.Errorf("name one that is there and has room: TMPDIR=/var/tmp tailor build --verify", "a temporary folder for the builds: %w", err)
	}
	r := &run{cfg: cfg, tmp: tmp, Report: &Report{Differences: []*compare.Report{}}}
	keep := false
	defer func() {
		if !keep {
			os.RemoveAll(tmp)
		}
	}()
	if err := r.usual(ctx); err != nil {
		return nil, err
	}
	for _, o := range r.others() {
		if err := r.clean(ctx, o); err != nil {
			return nil, err
		}
	}
	err = r.compare()
	keep = err == nil && !r.Same
	return r.Report, err
}

// usual builds with the caches and in the folder of the user.
func (r *run) usual(ctx context.Context) error {
	cfg := r.cfg.Build
	plan, err := build.New(ctx, cfg)
	if err != nil {
		return err
	}
	if err := plan.CanMove(); err != nil {
		return err
	}
	r.name = filepath.Base(plan.Output) // which an image may have in itself
	cfg.Output = r.image("usual")
	if err := os.MkdirAll(filepath.Dir(cfg.Output), 0o700); err != nil {
		return err
	}
	if r.plan, err = build.New(ctx, cfg); err != nil {
		return err
	}
	defer r.cfg.Progress("building " + strings.Join(cfg.Args, " ") + " as usual")()
	start := time.Now()
	if _, err := r.plan.Run(ctx); err != nil {
		return err
	}
	r.built("as usual", "usual", start)
	return nil
}

func (r *run) built(name, dir string, start time.Time) {
	r.Builds = append(r.Builds, Built{Name: name, Image: r.image(dir), Seconds: time.Since(start).Seconds()})
}

// image is the path of what the build called name makes.
func (r *run) image(name string) string { return filepath.Join(r.tmp, name, r.name) }

// clean builds once from clean caches, and removes them.
func (r *run) clean(ctx context.Context, o other) error {
	defer r.cfg.Progress(fmt.Sprintf("building it from clean caches, %s of 2: all packages are compiled, which takes a while", o.name))()
	dir := filepath.Join(r.tmp, "work"+o.name)
	defer os.RemoveAll(dir)
	defer setUmask(o.umask)()
	start := time.Now()
	src, err := r.plan.CopySource(ctx, filepath.Join(dir, o.folder))
	if err != nil {
		return err
	}
	env, err := r.environment(dir, o, src)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.tmp, o.name), 0o700); err != nil {
		return err
	}
	args := append([]string{"build", "-o", r.image(o.name)}, r.plan.Flags(src.Moved)...)
	var out, messages bytes.Buffer
	err = build.RunTool(ctx, r.cfg.Tool, append(args, src.Args...), src.Dir, env, &out, &messages)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.cfg.Build.Stderr.Write(messages.Bytes())
		return fmt.Errorf("a copy of the source (%d files, as go list names them) does not build in another folder: %w", src.Files, err)
	}
	r.built("from clean caches, "+o.name, o.name, start)
	return nil
}

// compare fills in the rest of the report.
func (r *run) compare() error {
	r.Same = true
	for i := range r.Builds {
		c, err := compare.Bytes(r.Builds[0].Image, r.Builds[i].Image)
		if err != nil {
			return err
		}
		r.SHA256, r.Bytes, r.Builds[i].SHA256 = c.A.SHA256, c.A.Bytes, c.B.SHA256
		if c.Same {
			continue
		}
		r.Same = false
		if full, err := compare.Files(c.A.File, c.B.File); err == nil {
			c = full
		}
		r.Differences = append(r.Differences, c)
	}
	if r.Same {
		for i := range r.Builds {
			r.Builds[i].Image = ""
		}
	} else {
		r.Kept = r.tmp
	}
	r.tell()
	return nil
}

// tell says what was equal and what was different.
func (r *run) tell() {
	p := r.plan
	sources, _ := port.SourceHash()
	r.Equal = []string{"the source, " + p.Package, p.Go, fmt.Sprintf("tailor %s (sources of images %s)", p.Tool, sources)}
	if flags := p.Flags(func(path string) string { return path }); len(flags) > 0 {
		r.Equal = append(r.Equal, "flags "+strings.Join(flags, " "))
	}
	if f := p.Env().GOFLAGS; f != "" {
		r.Equal = append(r.Equal, "GOFLAGS="+f)
	}
	r.Different = slices.Clone(differences)
}
