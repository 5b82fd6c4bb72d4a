package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/archive"
	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// buildOptions are the flags that build and run share.
type buildOptions struct {
	target  string
	tags    string
	ldflags string
	files   []string // SRC:DST
	needs   []string // names of volumes
	anyVol  bool
	diskSet []string // names of disks
	anyDisk bool
	dhcp    bool
	luks    bool
	verbose bool
	dryRun  bool
	trace   string // "syscalls" or ""
	format  string // of build.Formats or ""
	params  string // of a disk
	metrics bool
	ntp     bool
	linked  []string // further services
}

func (o *buildOptions) flags(targetHelp string, parse func(string) (string, error)) []cli.Flag {
	return []cli.Flag{
		cli.ValueFlag(&o.target, "target", 't', "TARGET", targetHelp, parse),
		cli.StringFlag(&o.tags, "tags", 0, "LIST", "build tags, as for go build"),
		cli.StringFlag(&o.ldflags, "ldflags", 0, "FLAGS", "linker flags, as for go build: '-X main.v=1';\nadded to Tailor's own, '-s=0 -w=0' keeps symbols"),
		cli.ListFlag(&o.files, "file", 0, "SRC:DST", "put a file or folder of this machine into the image,\nread-only, at the absolute path DST; repeatable", asIs),
		cli.BoolFlag(&o.dhcp, "dhcp", 0, "link what finds the network card's addresses (DHCP,\nIPv6 routers); images for virtio have it anyway"),
		cli.BoolFlag(&o.luks, "luks", 0, "link what opens encrypted volumes and disks (LUKS);\nrun does so by itself when it builds for one"),
		cli.ListFlag(&o.linked, "log", 0, "TRANSPORT", "link what sends the program's log: syslog+udp,\nsyslog+tcp or syslog+tls (docs/logs.md); repeatable", parseLog),
		cli.ListFlag(&o.linked, "resolver", 0, "KIND", "link what the program's resolver asks: dns+cache\n(keeps answers) or dns+tls (and asks over TLS the\nservers of run --dns-tls; docs/services.md)", parseResolver),
		cli.ValueFlag(&o.trace, "trace", 0, "syscalls", "link the tracer of system calls; run prints a line\nfor each that the program makes (docs/syscalls.md)", parseTrace),
		cli.BoolFlag(&o.verbose, "verbose", 'v', "say what is done"),
		cli.BoolFlag(&o.dryRun, "dry-run", 'n', "print what would be done, do nothing"),
	}
}

func buildVerb() *verb {
	var o buildOptions
	var output string
	var asJSON, verify bool
	flags := slices.Concat(
		[]cli.Flag{cli.StringFlag(&output, "output", 'o', "FILE", "file or folder to write; without it NAME.img here\n(NAME for unix), after the package")},
		o.flags("hvt (virtual machine), spt (confined process),\nvirtio (other hypervisors) or unix (plain program);\nhvt if not given", parseTarget),
		[]cli.Flag{
			cli.BoolFlag(&asJSON, "json", 0, "print JSON about the image instead of its path"),
			cli.BoolFlag(&verify, "verify", 0, "build it twice more, from clean caches, of copies in\nother folders; print its SHA-256, or what differs\n(docs/reproducible.md)"),
		})
	flags = append(flags, diskFlags(&o)...)
	flags = append(flags, serviceFlags(&o)...)
	flags = append(flags, diskNameFlags(&o)...)
	flags = append(flags, cli.ListFlag(&o.needs, "needs", 0, "NAME", "volume that the image mounts and does not start\nwithout, or secrets, to need some; it takes no\nothers but conf and secrets; repeatable", cli.ParseVolumeName),
		cli.BoolFlag(&o.anyVol, "volumes", 0, "link what mounts volumes and secrets, whichever the\nimage is started with; run does so by itself when it\nbuilds a package for some"))
	return &verb{
		name:    "build",
		args:    "[FLAGS] PACKAGE | FILE.go...",
		summary: "build an image, or a plain program, of a package",
		about: `Build compiles package main with your own Go and prints the path of the image.
PACKAGE is a folder (./cmd/server), an import path, or IMPORTPATH@VERSION, which
is fetched. It is any Go program without cgo; its go.mod is never edited.
GOFLAGS, GOTOOLCHAIN, go.work and vendor folders have their usual effect. On
failure no file is left behind. Exit code 125 is a failure, 1 with --verify that
the builds are not the same.`,
		flags: flags,
		examples: `  tailor build ./examples/hello
  tailor build -o server.img --ldflags '-X main.version=1.2' ./cmd/server
  tailor build -t unix -o server ./cmd/server
  tailor build --file ./static:/srv/static ./cmd/server
  tailor build -t virtio --format qcow2 --params 'ip=10.0.2.15/24' ./cmd/server
  tailor build -n ./examples/hello
  tailor build --verify ./examples/website
  tailor run $(tailor build -o /tmp/ ./examples/hello)
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if o.target == "" {
				o.target = build.HVT
			}
			if o.target == build.Virtio && o.format == "" {
				o.format = build.ELF
			}
			if verify && o.dryRun {
				return 0, hint.Errorf("leave one out", "--verify and -n: nothing is built that could be compared")
			}
			return a.build(ctx, o, output, asJSON, verify, args)
		},
	}
}

// diskNameFlags are the flags of build for disks, which are files and devices for run.
func diskNameFlags(o *buildOptions) []cli.Flag {
	return []cli.Flag{
		cli.ListFlag(&o.diskSet, "disk", 0, "NAME", "block device that the image shows its program and\ndoes not start without; it takes no others;\nrepeatable", cli.ParseDiskName),
		cli.BoolFlag(&o.anyDisk, "disks", 0, "link what shows block devices, whichever the image\nis started with; run does so by itself when it\nbuilds a package for some"),
	}
}

func (a *app) build(ctx context.Context, o buildOptions, output string, asJSON, verify bool, args []string) (int, error) {
	if len(args) == 1 && isFile(args[0]) && !strings.HasSuffix(args[0], ".go") {
		return 0, hint.Errorf("tailor run "+args[0]+" runs an image", "%s is a file, not a package", args[0])
	}
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	cfg, err := a.buildConfig(o, args)
	if err != nil {
		return 0, err
	}
	cfg.Output, cfg.DefaultName = output, true
	if verify {
		return a.verify(ctx, cfg, asJSON)
	}
	plan, result, err := a.planAndBuild(ctx, cfg, o.dryRun)
	switch {
	case err != nil:
	case o.dryRun && asJSON:
		err = printJSON(a.stdout, plan)
	case o.dryRun:
		_, err = io.WriteString(a.stdout, plan.Text())
	case asJSON:
		err = printJSON(a.stdout, result)
	default:
		_, err = fmt.Fprintln(a.stdout, result.Image)
	}
	return exitOK, err
}

func (a *app) buildConfig(o buildOptions, args []string) (build.Config, error) {
	if err := o.checkUnix(); err != nil {
		return build.Config{}, err
	}
	dir, err := cache.Dir()
	if err != nil {
		return build.Config{}, err
	}
	cfg := build.Config{
		Target: o.target, Args: args, Dir: a.dir,
		Tags: o.tags, LDFlags: o.ldflags, Needs: o.needs, Volumes: o.anyVol, Disks: o.diskSet, AnyDisk: o.anyDisk, LUKS: o.luks, DHCP: o.dhcp, TraceCalls: o.trace != "",
		Format: o.format, Params: o.params, Services: o.services(),
		Tool: toolVersion(), CacheDir: dir, Stderr: a.msg,
	}
	for _, arg := range o.files {
		m, err := archive.Parse(arg, a.dir)
		if err != nil {
			return cfg, err
		}
		cfg.Files = append(cfg.Files, m)
	}
	if o.verbose {
		cfg.Trace = func(line string) { fmt.Fprintln(a.msg, line) }
	}
	return cfg, nil
}

// planAndBuild makes a plan and, unless dry, runs it.
func (a *app) planAndBuild(ctx context.Context, cfg build.Config, dry bool) (*build.Plan, *build.Result, error) {
	end := a.msg.Progress(fmt.Sprintf("building %s for %s", strings.Join(cfg.Args, " "), cfg.Target))
	defer end()
	plan, err := build.New(ctx, cfg)
	if err != nil || dry {
		return plan, nil, err
	}
	result, err := plan.Run(ctx)
	return plan, result, err
}

// asIs parses a value that is looked at later.
func asIs(s string) (string, error) { return s, nil }

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// parseTarget refuses what cannot be built for.
func parseTarget(s string) (string, error) { return parseOneOf(s, build.Targets) }

// parseOneOf refuses targets that are not known.
func parseOneOf(s string, known []string) (string, error) {
	if slices.Contains(known, s) {
		return s, nil
	}
	help := "targets are: " + strings.Join(known, ", ")
	if near := cli.Nearest(s, known); near != "" {
		help = "did you mean " + near + "?"
	}
	return "", hint.Errorf(help, "unknown target")
}

// diskFlags are those of build for images that boot alone.
func diskFlags(o *buildOptions) []cli.Flag {
	return []cli.Flag{
		cli.ValueFlag(&o.format, "format", 0, "FORMAT", "with -t virtio: elf (for -kernel; the default), or a\ndisk that boots by BIOS and UEFI: raw, qcow2, iso", parseFormat),
		cli.StringFlag(&o.params, "params", 0, "WORDS", "command line of such a disk: parameters, then --,\nthen the program's arguments (see: tailor help\nparameters)"),
	}
}

// parseFormat refuses unknown formats.
func parseFormat(s string) (string, error) {
	if slices.Contains(build.Formats, s) {
		return s, nil
	}
	return "", hint.Errorf("formats are: "+strings.Join(build.Formats, ", "), "unknown format")
}

// parseTrace refuses what cannot be traced.
func parseTrace(s string) (string, error) {
	if s != "syscalls" {
		return "", hint.Errorf("write --trace syscalls", "cannot trace that")
	}
	return s, nil
}

// errTraceUnix refuses --trace for a plain process, whose system calls are the
// host's.
func errTraceUnix() error {
	return hint.Errorf("strace -f shows those of a plain program, or use -t hvt",
		"--trace syscalls shows the calls that a virtual machine's program makes")
}

// errLacks refuses what an image or a plain program was built without.
func errLacks(path, what, flag, pkg string) error {
	return hint.Errorf("rebuild it with: tailor build "+flag+" "+pkg, "%s was built without %s", path, what)
}

// checkTrace refuses --trace for an image without the tracer.
func checkTrace(o buildOptions, path string, n image.Note) error {
	if o.trace == "" || slices.Contains(n.Trace, o.trace) {
		return nil
	}
	return errLacks(path, "the tracer", "--trace syscalls", n.Source())
}
