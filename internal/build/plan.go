package build

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/archive"
	"github.com/tailor-os/tailor/internal/cache"
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
	Format  string   `json:"format,omitempty"` // as in Result
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

	files   *archive.Archive // nil for none
	modules []module
	env     GoEnv
	flags   *goFlags
	prog    program
	source  string // hash of the program's own source
	pinned  string // path@version that was found, "" for another kind of package
}

// Env is what the go command says of its environment.
func (p *Plan) Env() GoEnv { return p.env }

// Name returns what the program is called: the output's name without suffix.
func (p *Plan) Name() string { return ProgramName(p.Output) }

func makePlan(cfg Config, g *goCmd, src source, env GoEnv, flags *goFlags, prog program, files *archive.Archive) (*Plan, error) {
	p := &Plan{
		Target: cfg.Target, Format: cfg.Format, Arch: "amd64", Package: prog.ImportPath, Go: env.GOVERSION, Tool: cfg.Tool,
		Devices: []string{}, cfg: cfg, g: g, src: src, files: files, modules: prog.modules,
		port: port.Config{Services: prog.services}, env: env, flags: flags, prog: prog,
		key: shortHash(strings.Join(append([]string{
			cfg.Target, strconv.FormatBool(cfg.Shares), strconv.FormatBool(cfg.volumes()), strconv.FormatBool(cfg.disks()), strconv.FormatBool(cfg.dhcp()), strconv.FormatBool(cfg.LUKS), src.dir, prog.Dir, env.GOROOT, env.GOVERSION, env.GOFLAGS, flags.tags, flags.ldflags, traced(cfg), strings.Join(prog.services, "+")}, src.args...), "\x00")),
	}
	if src.fetched && prog.Module != nil {
		p.pinned = prog.ImportPath + "@" + prog.Module.Version
	}
	if err := checkLinked(cfg.Params, prog.services); err != nil {
		return nil, err
	}
	if cfg.Target != Unix {
		p.ABI = abi.Version
		if prog.network {
			p.Devices = append(p.Devices, "net")
		}
		if cfg.Shares {
			p.Devices = append(p.Devices, "fs")
		}
		if cfg.volumes() {
			p.Devices = append(p.Devices, "block")
		}
		if cfg.disks() {
			p.Devices = append(p.Devices, "disk")
		}
	}
	if p.hasPort() {
		if err := p.preparePort(env, flags, prog); err != nil {
			return nil, err
		}
	}
	name := src.name
	if name == "" {
		name = baseName(prog.ImportPath)
	}
	// An image is marked as one so that nobody tries to execute it.
	name += cfg.suffix()
	entryDir := filepath.Join(cfg.CacheDir, cache.Builds, p.key)
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

// hasPort reports whether something is laid over the Go tree.
func (p *Plan) hasPort() bool { return p.Target != Unix || len(p.port.Services) > 0 }

// traced tells builds with and without the tracer apart.
func traced(cfg Config) string {
	if cfg.TraceCalls {
		return "trace"
	}
	return ""
}

// preparePort decides what the runtime port is derived from.
func (p *Plan) preparePort(env GoEnv, flags *goFlags, prog program) error {
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
		Network: prog.network, Complete: prog.calls, Diagnostics: prog.diagnostics, Shares: p.cfg.Shares, Trace: p.cfg.TraceCalls, Files: p.files != nil, Virtio: p.cfg.Target == Virtio, Volumes: p.cfg.volumes(), Disks: p.cfg.disks(), LUKS: p.cfg.LUKS, DHCP: p.cfg.dhcp(), Extra: flags.overlay,
		Services: prog.services, Attributes: prog.attributes, Unix: p.Target == Unix,
	}
	if len(prog.services) > 0 {
		return p.linkMain(env, prog)
	}
	return nil
}

// actions lists the steps. raw is where the linker's output goes: a place that
// stays the same, where go build sees that it is up to date.
func (p *Plan) actions(flags *goFlags, raw string) []Action {
	compile := Action{
		Kind: KindCompile, Doc: fmt.Sprintf("compile %s with %s", p.Package, p.Go),
		Dir: p.src.dir, Env: p.src.env, Outputs: []string{raw},
	}
	argv := []string{p.goPath(), "build"}
	if p.hasPort() {
		argv = append(argv, "-overlay="+overlayVar)
		compile.Inputs = []string{overlayVar}
	}
	argv = append(argv, "-trimpath")
	if !flags.vcs {
		// Else a checkout would give other bytes than the same source without its history.
		argv = append(argv, "-buildvcs=false")
	}
	argv = append(argv, flags.buildArgs()...)
	argv = append(argv, "-ldflags="+flags.ldflags+p.linkedFlag(), "-o", raw, "--")
	compile.Argv = append(argv, p.src.args...)
	var list []Action
	if p.hasPort() {
		list = []Action{{
			Kind: KindOverlay, Doc: fmt.Sprintf("derive %s from %s: %s", p.portDoc(), p.port.Toolchain.GOROOT, overlayVar),
			Outputs: []string{overlayVar},
		}}
	}
	if p.Target == Unix {
		return append(list, compile, Action{
			Kind: KindCopy, Doc: "copy it to " + p.Output,
			Inputs: []string{raw}, Outputs: []string{p.Output},
		})
	}
	note := Action{
		Kind: KindNote, Doc: fmt.Sprintf("add the note (target %s, devices: %s) and write %s%s", p.Target, deviceList(p.Devices), p.Output, p.cfg.formatDoc()),
		Inputs: []string{raw}, Outputs: []string{p.Output},
	}
	if p.files != nil {
		note.Doc = fmt.Sprintf("add the note (target %s, devices: %s) and %d files of --file (%d bytes), and write %s",
			p.Target, deviceList(p.Devices), p.files.Files(), p.files.Bytes(), p.Output)
		for _, f := range p.cfg.Files {
			note.Inputs = append(note.Inputs, f.Src)
		}
	}
	return append(list, compile, note)
}

// portDoc says what is derived.
func (p *Plan) portDoc() string {
	services := strings.Join(p.port.Services, ", ")
	switch {
	case p.Target == Unix:
		return services + " beside the program"
	case services != "":
		return "the runtime port with the network, " + services
	case p.port.Network:
		return "the runtime port with the network"
	}
	return "the runtime port without a network"
}

// linkedFlag has the linker tell the program what it has.
func (p *Plan) linkedFlag() string {
	if len(p.port.Services) == 0 {
		return ""
	}
	return " -X " + port.Prefix + "params.linked=" + strings.Join(p.port.Services, ",")
}

// goPath is the go command that compiles.
func (p *Plan) goPath() string {
	if !p.hasPort() {
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
