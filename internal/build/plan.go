package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
)

// Kind says what an [Action] does.
type Kind string

// The kinds of actions, in the order they run.
const (
	KindOverlay Kind = "overlay" // derive the runtime port
	KindCompile Kind = "compile" // run go build
	KindNote    Kind = "note"    // mark the linker's output as an image
	KindCopy    Kind = "copy"    // put the linker's output in place
)

// overlayVar stands in Argv for the overlay file, whose name depends on its
// content and so is known only when it is made.
const overlayVar = "$OVERLAY"

// An Action is one step of a plan. Its JSON form is documented in docs/cli.md.
type Action struct {
	Kind Kind     `json:"kind"`
	Doc  string   `json:"doc"`            // what it does, one line
	Dir  string   `json:"dir,omitempty"`  // where Argv runs
	Env  []string `json:"env,omitempty"`  // added to the environment of Argv
	Argv []string `json:"argv,omitempty"` // the command, for KindCompile
	// Inputs and Outputs are the files read and written, besides the
	// program's source. $OVERLAY is the overlay's.
	Inputs  []string `json:"inputs,omitempty"`
	Outputs []string `json:"outputs,omitempty"`
}

// String returns the action as it is shown by -n and -v: a comment that says
// what is done and, if it is a command, the command.
func (a Action) String() string {
	s := "# " + a.Doc
	if a.Argv != nil {
		c := command{path: a.Argv[0], args: a.Argv[1:], dir: a.Dir, env: a.Env}
		s += "\n" + c.String()
	}
	return s
}

// A Plan is how a program is built, as values.
type Plan struct {
	Target  string   `json:"target"`
	Arch    string   `json:"arch"`
	Package string   `json:"package"` // import path of package main
	Go      string   `json:"go"`      // "go1.26.8"
	Tool    string   `json:"tailor"`
	ABI     uint32   `json:"abi"`
	Devices []string `json:"devices"`
	Output  string   `json:"output"` // absolute path
	Actions []Action `json:"actions"`

	cfg  Config
	g    *goCmd
	src  source
	key  string // of the cache entry
	port port.Config
}

// Name returns what the program is called: the output's name without suffix.
func (p *Plan) Name() string { return strings.TrimSuffix(filepath.Base(p.Output), ".img") }

func makePlan(cfg Config, g *goCmd, src source, env GoEnv, flags *goFlags, prog program) (*Plan, error) {
	p := &Plan{
		Target: cfg.Target, Arch: "amd64", Package: prog.ImportPath, Go: env.GOVERSION, Tool: cfg.Tool,
		Devices: []string{}, cfg: cfg, g: g, src: src,
		key: shortHash(strings.Join(append([]string{
			cfg.Target, src.dir, prog.Dir, env.GOROOT, env.GOVERSION, env.GOFLAGS, flags.tags, flags.ldflags}, src.args...), "\x00")),
	}
	if cfg.Target != Unix {
		p.ABI = abi.Version
		if prog.network {
			p.Devices = append(p.Devices, "net")
		}
		if err := p.preparePort(env, flags, prog); err != nil {
			return nil, err
		}
	}
	name := src.name
	if name == "" {
		name = baseName(prog.ImportPath)
	}
	name = outputName(cfg.Target, name)
	entryDir := filepath.Join(cfg.CacheDir, "build", p.key)
	p.Output = filepath.Join(entryDir, name)
	if cfg.Output != "" || cfg.DefaultName {
		var err error
		if p.Output, err = outputPath(cfg, name); err != nil {
			return nil, err
		}
	}
	p.Actions = p.actions(flags, filepath.Join(entryDir, "raw"))
	return p, nil
}

// preparePort decides what the runtime port is derived from.
func (p *Plan) preparePort(env GoEnv, flags *goFlags, prog program) error {
	if prog.network && within(env.GOMODCACHE, prog.Dir) {
		// The go command lets no overlay add a file there.
		help := "build it from a copy of its module"
		if m := prog.Module; m != nil && m.Version != "" {
			help = fmt.Sprintf("name the version, and it is: %s@%s", prog.ImportPath, m.Version)
		}
		return hint.Errorf(help, "%s lies in Go's module cache (%s) and imports net: it must be built outside", prog.ImportPath, prog.Dir)
	}
	tc := port.Toolchain{Go: p.g.path, GOROOT: env.GOROOT, Version: env.GOVERSION}
	tc, err := tc.Overlayable(p.cfg.CacheDir, env.GOMODCACHE)
	if err != nil {
		return err
	}
	if tc.GOROOT != env.GOROOT {
		p.src.env = append(slices.Clone(p.src.env), tc.Env()...)
	}
	p.port = port.Config{
		Toolchain: tc, CacheDir: p.cfg.CacheDir,
		Network: prog.network, MainDir: prog.Dir, Extra: flags.overlay,
	}
	return nil
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return dir != "" && err == nil && filepath.IsLocal(rel)
}

// actions lists the steps. raw is where the linker's output goes: a place that
// stays the same, where go build sees that it is up to date.
func (p *Plan) actions(flags *goFlags, raw string) []Action {
	compile := Action{
		Kind: KindCompile, Doc: fmt.Sprintf("compile %s with %s", p.Package, p.Go),
		Dir: p.src.dir, Env: p.src.env, Outputs: []string{raw},
	}
	argv := []string{p.goPath(), "build"}
	if p.Target != Unix {
		argv = append(argv, "-overlay="+overlayVar)
		compile.Inputs = []string{overlayVar}
	}
	argv = append(argv, "-trimpath")
	argv = append(argv, flags.buildArgs()...)
	argv = append(argv, "-ldflags="+flags.ldflags, "-o", raw, "--")
	compile.Argv = append(argv, p.src.args...)
	if p.Target == Unix {
		return []Action{compile, {
			Kind: KindCopy, Doc: "copy it to " + p.Output,
			Inputs: []string{raw}, Outputs: []string{p.Output},
		}}
	}
	if p.src.files && p.port.Network {
		// go build compiles only the files that are named.
		compile.Argv = append(compile.Argv, filepath.Join(p.port.MainDir, port.MainFile))
	}
	what := "without a network"
	if p.port.Network {
		what = "with the network"
	}
	return []Action{{
		Kind: KindOverlay, Doc: fmt.Sprintf("derive the runtime port %s from %s: %s", what, p.port.Toolchain.GOROOT, overlayVar),
		Outputs: []string{overlayVar},
	}, compile, {
		Kind: KindNote, Doc: fmt.Sprintf("add the note (target %s, devices: %s) and write %s", p.Target, deviceList(p.Devices), p.Output),
		Inputs: []string{raw}, Outputs: []string{p.Output},
	}}
}

// goPath is the go command that compiles.
func (p *Plan) goPath() string {
	if p.Target == Unix {
		return p.g.path
	}
	return p.port.Toolchain.Go
}

func deviceList(devices []string) string {
	if len(devices) == 0 {
		return "none"
	}
	return strings.Join(devices, ", ")
}

// Run does what the plan says. On failure no output is left behind, and what
// was there before is untouched.
func (p *Plan) Run(ctx context.Context) (*Result, error) {
	e, err := openEntry(ctx, p.cfg.CacheDir, p.key)
	if err != nil {
		return nil, err
	}
	defer clean(p.cfg.CacheDir, cacheLimit, cacheAge, time.Now())
	defer e.close()
	var overlay string
	for _, a := range p.Actions {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if p.cfg.Trace != nil && a.Argv == nil {
			p.cfg.Trace(a.String())
		}
		switch a.Kind {
		case KindOverlay:
			overlay, err = port.Prepare(ctx, p.port)
		case KindCompile:
			err = p.compile(ctx, a, overlay)
		case KindNote:
			err = p.addNote(ctx, a, overlay)
		case KindCopy:
			err = copyFile(a.Inputs[0], a.Outputs[0])
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return p.result()
}

// compile runs go build with its output passed on as it is.
func (p *Plan) compile(ctx context.Context, a Action, overlay string) error {
	args := slices.Clone(a.Argv[1:])
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], overlayVar, overlay)
	}
	c := command{path: a.Argv[0], args: args, dir: a.Dir, env: a.Env, stdout: p.cfg.Stderr, stderr: p.cfg.Stderr}
	err := c.run(ctx, p.cfg.Trace)
	if err == nil {
		return nil
	}
	os.Remove(a.Outputs[0]) // it may be half written
	if ctx.Err() != nil {
		return err
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("run %s: %w", a.Argv[0], err)
	}
	failed := fmt.Errorf("%w: %s does not compile (%v)", ErrFailed, p.Package, err)
	if users := p.g.cgoUsers(ctx, p.src); len(users) > 0 {
		return hint.With(failed, "uses cgo, which is off because an image holds no C: "+strings.Join(users, ", "))
	}
	return failed
}

// addNote makes the image of the linker's output. An output that it cannot
// read is made again, once: a process that was killed may have left half a
// file that go build takes for up to date.
func (p *Plan) addNote(ctx context.Context, a Action, overlay string) error {
	raw := a.Inputs[0]
	img, err := p.noted(raw)
	if err != nil {
		os.Remove(raw)
		if err := p.compile(ctx, p.Actions[1], overlay); err != nil {
			return err
		}
		if img, err = p.noted(raw); err != nil {
			return err
		}
	}
	return replaceFile(p.Output, 0o666, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(img))
		return err
	})
}

func (p *Plan) noted(raw string) ([]byte, error) {
	elf, err := os.ReadFile(raw)
	if err != nil {
		return nil, err
	}
	return image.AddNote(elf, p.note())
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return replaceFile(to, 0o777, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

func (p *Plan) result() (*Result, error) {
	r := &Result{
		Image: p.Output, Target: p.Target, Arch: p.Arch, Go: p.Go, Tailor: p.Tool,
		ABI: p.ABI, Package: p.Package, Devices: p.Devices,
	}
	info, err := os.Stat(p.Output)
	if err != nil {
		return nil, err
	}
	r.Bytes = info.Size()
	return r, nil
}

// Text returns the whole plan as a shell script with comments.
func (p *Plan) Text() string {
	var b strings.Builder
	for _, a := range p.Actions {
		b.WriteString(a.String() + "\n")
	}
	return b.String()
}

// JSON returns the whole plan as JSON.
func (p *Plan) JSON() ([]byte, error) { return json.MarshalIndent(p, "", "  ") }
