package main

import (
	"cmp"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/paramdoc"
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/spt"
	"github.com/tailor-os/tailor/params"
)

// stallWarning is how long a goroutine may compute without a warning, if
// nothing is said; the guest of target virtio has the same default.
const stallWarning = time.Second

// runOptions are the flags of run.
type runOptions struct {
	buildOptions
	memory   uint64 // bytes, 0 if not given
	publish  []cli.Publish
	nets     []cli.Net // eth0 first
	ip       []ipFlag
	gateways []gatewayFlag
	dns      []netip.Addr
	env      []string
	params   []string // boot parameters, NAME=VALUE
	machine  string   // of QEMU, "" if not given
	stall    time.Duration

	defaultNet bool // nets was not given
	stallGiven bool

	volumeOptions
	serve serviceOptions

	addrs []addresses // ip and gateways by card and family
}

// parseStall notes that there is a --stall-warning, which may be the default's.
func (o *runOptions) parseStall(s string) (time.Duration, error) {
	o.stallGiven = true
	return cli.ParseDuration(s)
}

func runVerb() *verb {
	o := runOptions{stall: stallWarning}
	flags := slices.Concat([]cli.Flag{
		cli.ListFlag(&o.publish, "publish", 'p', "[ADDR:]HOST:GUEST[/udp]", "publish a port of the guest on the host; repeatable", cli.ParsePublish),
		cli.ValueFlag(&o.memory, "memory", 'm', "SIZE", "memory of the guest, such as 64M or 1G\n(default 256M; only what is used is taken)", cli.ParseSize),
		cli.ListFlag(&o.env, "env", 'e', "NAME=VALUE", "set a variable in the program's environment;\nrepeatable; nothing of the host's is passed on to\na virtual machine", cli.ParseEnv),
		cli.ListFlag(&o.nets, "net", 0, "KIND", "user (default: behind this host, no privileges),\nnone, or tap:NAME (an existing device); each is a\nnetwork card, eth0 first, up to 8", cli.ParseNet),
		cli.ListFlag(&o.ip, "ip", 0, "[CARD:]ADDR/BITS", "address, IPv4 or IPv6, with --net tap:NAME;\ndhcp (default) to find it, host for one next to\nthe host's; of eth0, or of CARD (eth1:192.0.2.5/24);\nrepeatable", parseIP),
		cli.ListFlag(&o.gateways, "gateway", 0, "[CARD:]ADDR", "router, with --ip; repeatable", parseGateway),
		cli.ListFlag(&o.dns, "dns", 0, "ADDR", "name server; repeatable", cli.ParseAddr),
		cli.ListFlag(&o.params, "param", 0, "NAME=VALUE", "set a boot parameter that has no flag, such as\nhostname=web-1 (tailor help parameters); repeatable", paramdoc.Parse),
		cli.ValueFlag(&o.stall, "stall-warning", 0, "DURATION", "warn once when a goroutine computes for that long\nwhile all others wait (default 1s; 0 for never)", o.parseStall),
		machineFlag(&o.machine),
	}, mountFlags(&o.volumeOptions), o.serve.flags(), o.flags("hvt (virtual machine), spt (confined process),\nqemu (virtual machine under QEMU) or unix (plain\nprocess); without it the strongest that works here", parseRunTarget))
	return &verb{
		name:    "run",
		args:    "[FLAGS] PACKAGE | FILE.go... | IMAGE [ARGUMENTS]",
		summary: "run a package or an image",
		about: `Run builds a package, if it is one, and runs it. What follows the package or
image goes to the program, flags included; one -- directly after it is dropped.
Standard input, output and error are the program's; tailor's own lines go to
standard error. SIGINT and SIGTERM go to the program; a second one stops a
virtual machine at once.

PACKAGE is a folder (./cmd/server), an import path, or IMPORTPATH@VERSION, which
is fetched. A file that is not Go source is taken for an image.`,
		flags: flags,
		stop:  true,
		examples: `  tailor run ./examples/hello
  tailor run -p 8080:80 ./examples/website      curl http://localhost:8080/
  tailor run -t unix ./examples/hello           as a plain process
  tailor run -m 32M -e GREETING=hi hello.img arg1 -flag-of-the-program
  tailor run --syslog tls://10.0.0.1:6514 ./cmd/server
  tailor run --trace syscalls ./cmd/server      as strace does, on stderr
  tailor run -t qemu -p 8080:80 ./examples/website
  tailor run -t qemu --machine q35 -n hello.elf the command that starts QEMU
  tailor run --metrics :9090 ./examples/website   curl localhost:9090/metrics
  tailor run --net tap:tap0 --ip 192.0.2.5/24 --gateway 192.0.2.1 server.img
  tailor run --net tap:tap0 --net tap:tap1 --ip eth1:198.51.100.5/24 ./server
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			return a.run(ctx, o, args)
		},
	}
}

// A program is what run was asked to start.
type program struct {
	what []string // package, .go files or image, as written
	args []string // the program's own
}

// splitProgram finds where the program's own arguments begin.
func splitProgram(args []string) (program, error) {
	if len(args) == 0 {
		return program{}, hint.Errorf("name one, such as: tailor run ./examples/hello", "nothing to run: no package or image given")
	}
	n := 1
	if strings.HasSuffix(args[0], ".go") {
		for n < len(args) && strings.HasSuffix(args[n], ".go") {
			n++
		}
	}
	p := program{args[:n], args[n:]}
	if len(p.args) > 0 && p.args[0] == "--" {
		p.args = p.args[1:]
	}
	return p, nil
}

// imagePath returns the image that p names, "" if p is a package. A file that
// is not Go source cannot be a package.
func (p program) imagePath() (string, error) {
	name := p.what[0]
	if strings.HasSuffix(name, ".go") {
		return "", nil
	}
	if isFile(name) {
		return name, nil
	}
	return "", missingImage(name)
}

// missingImage refuses what is named as an image is, and is not there: no package of
// that name is meant.
func missingImage(name string) error {
	if _, err := os.Stat(name); err != nil && filepath.Ext(name) == ".img" {
		return hint.Errorf("build it with: tailor build -o "+name+" PACKAGE", "no such image: %s", name)
	}
	return nil
}

func (a *app) run(ctx context.Context, o runOptions, args []string) (int, error) {
	p, err := splitProgram(args)
	if err != nil {
		return 0, err
	}
	if err := o.checkNet(); err != nil {
		return 0, err
	}
	path, err := p.imagePath()
	switch {
	case err != nil:
		return 0, err
	case path != "":
		return a.runImage(ctx, o, path, p.args)
	}
	return a.runPackage(ctx, o, p)
}

// checkPorts refuses to publish two ports of the guest at one of the host.
func (o *runOptions) checkPorts() error {
	for i, p := range o.publish {
		for _, q := range o.publish[:i] {
			if p.Host == q.Host && p.UDP == q.UDP && p.Addr == q.Addr {
				return hint.Errorf("choose another port of the host", "-p %s and -p %s use the same port", q, p)
			}
		}
	}
	return nil
}

// checkUnix refuses flags that mean nothing to a plain process.
func (o *runOptions) checkUnix() error {
	if o.trace != "" {
		return errTraceUnix()
	}
	if !o.onlyUser() || len(o.ip)+len(o.gateways)+len(o.dns) > 0 {
		return hint.Errorf("use -t hvt (tailor doctor says what it needs), or remove --net, --ip, --gateway and --dns",
			"a plain process (target unix) has the host's own network")
	}
	if err := o.volumeOptions.checkUnix(); err != nil {
		return err
	}
	if i := slices.IndexFunc(o.params, func(p string) bool { return !params.OfProcess(p) }); i >= 0 {
		return hint.Errorf("remove --param", "--param %s: a plain process (target unix) is not booted", o.params[i])
	}
	if len(o.serve.ntp) > 0 {
		return errNTPUnix()
	}
	return o.checkUnixMachine()
}

// pickTarget chooses the strongest target that works here and says so.
func (a *app) pickTarget() string {
	err := checkVM()
	if err == nil {
		a.msg.Infof("target hvt: a virtual machine, KVM works here")
		return build.HVT
	}
	if spt.Check() == nil {
		a.msg.Infof("target spt: a confined process, because there is no virtual machine here: %v (see: tailor doctor)", explain(err))
		return build.SPT
	}
	a.msg.Infof("target unix: a plain process, because there is no virtual machine here: %v (see: tailor doctor)", explain(err))
	return build.Unix
}

// checkTarget refuses what o asks of its target in vain.
func (o *runOptions) checkTarget() error {
	if o.machine != "" && o.target != targetQEMU {
		return hint.Errorf("add -t qemu", "--machine %s is one of QEMU", o.machine)
	}
	if o.target == build.Unix {
		return o.checkUnix()
	}
	if err := o.checkKeys(); err != nil {
		return err
	}
	if o.target == targetQEMU {
		return o.checkQEMU()
	}
	if err := canRun(o.target); err != nil && !o.dryRun {
		return err
	}
	return nil
}

func (a *app) runPackage(ctx context.Context, o runOptions, p program) (int, error) {
	if o.target == "" {
		o.target = a.pickTarget()
	}
	o.publishMetrics()
	if err := cmp.Or(o.checkPorts(), o.checkTarget()); err != nil {
		return 0, err
	}
	options := o.buildOptions
	options.target = imageTarget(o.target)
	options.dhcp = options.dhcp || o.wantsDHCP()
	options.link(o.words())
	cfg, err := a.buildConfig(options, p.what)
	if err != nil {
		return 0, err
	}
	o.configure(&cfg)
	bctx, stop := untilInterrupt(ctx)
	plan, result, err := a.planAndBuild(bctx, cfg, o.dryRun)
	stop() // from here on signals are the program's
	if err != nil {
		return 0, err
	}
	if o.dryRun {
		fmt.Fprint(a.stdout, plan.Text())
		return a.start(ctx, o, plan.Output, p.args, nil)
	}
	if o.target == build.Unix {
		return a.start(ctx, o, result.Image, p.args, nil)
	}
	img, err := image.Open(result.Image)
	if err != nil {
		return 0, err
	}
	defer img.Close()
	return a.start(ctx, o, result.Image, p.args, img)
}

// runImage runs an image file, or with -t unix a program that build -t unix
// made.
func (a *app) runImage(ctx context.Context, o runOptions, path string, args []string) (int, error) {
	if err := o.checkBuilt(path, "give it to tailor build, or run the package"); err != nil {
		return 0, err
	}
	img, err := image.Open(path)
	if errors.Is(err, image.NoNote) && o.target == build.Unix {
		if err := cmp.Or(o.checkTarget(), o.checkUnixServices(path)); err != nil {
			return 0, err
		}
		return a.start(ctx, o, path, args, nil)
	}
	if err != nil {
		return 0, err
	}
	defer img.Close()
	if o.target == "" {
		o.target = a.pickForImage(img.Note)
	}
	target := imageTarget(o.target)
	if err := image.CheckTarget(img.Note, target, sameImages(target)...); err != nil {
		return 0, err
	}
	o.publishMetrics()
	if err := cmp.Or(o.checkPorts(), o.checkTarget()); err != nil {
		return 0, err
	}
	if err := checkTrace(o.buildOptions, path, img.Note); err != nil {
		return 0, err
	}
	if err := cmp.Or(o.checkLUKS(path, img.Note), o.checkServices(path, img.Note.Services, img.Note.Source())); err != nil {
		return 0, err
	}
	return a.start(ctx, o, path, args, img)
}

// pickForImage chooses where an image runs: where it was built for, or a target
// of the same images that works here.
func (a *app) pickForImage(n image.Note) string {
	target, same := runTarget(n), sameImages(n.Target)
	if len(same) == 0 {
		a.msg.Infof("target %s: the image was built for it", target)
		return target
	}
	if err := canRun(target); err != nil && canRun(same[0]) == nil {
		a.msg.Infof("target %s, because the one that the image was built for does not work here: %v", same[0], explain(err))
		return same[0]
	}
	a.msg.Infof("target %s: the image was built for it", target)
	return target
}

// sameImages are the other targets with the images of target.
func sameImages(target string) []string {
	switch target {
	case build.HVT:
		return []string{build.SPT}
	case build.SPT:
		return []string{build.HVT}
	}
	return nil
}

// start hands over to the program. With -n it says how.
func (a *app) start(ctx context.Context, o runOptions, path string, args []string, img *image.Image) (int, error) {
	sources, err := o.sources()
	if err != nil {
		return 0, err
	}
	c := vmConfig{
		Target: o.target, Image: img, Path: path, Name: build.ProgramName(path), Args: args, Env: o.env, Memory: o.memory, Verbose: o.verbose, Stall: o.stall,
		Nets: o.nets, DNS: o.dns, Publish: o.publish, Addrs: o.addrs, Log: a.msg, Trace: o.trace,
		Params: params.Line{System: o.words()}.String(), Sources: sources,
	}
	machine := cmp.Or(o.machine, qemu.Machines[0])
	switch {
	case o.dryRun && o.target == targetQEMU:
		c.Volumes = o.named()
		line, err := c.describeQEMU(machine)
		fmt.Fprintln(a.stdout, line)
		return exitOK, err
	case o.dryRun:
		fmt.Fprintln(a.stdout, o.describe(path, args))
		return exitOK, nil
	case o.target == build.Unix:
		vars, err := o.unixParams()
		if err != nil {
			return 0, err
		}
		a.helpParameters(args, o.unixKnows) // now or never
		trimCache()
		return 0, execute(path, args, append(vars, o.env...))
	}
	got, err := o.open(a.msg)
	if err != nil {
		return 0, err
	}
	defer got.close()
	c.Shares, c.Volumes, c.Secrets = got.shares, got.volumes, got.secrets
	var exit int
	if o.target == targetQEMU {
		exit, err = startQEMU(ctx, c, machine)
	} else {
		exit, err = startVM(ctx, c)
	}
	if err == nil {
		a.helpParameters(args, c.knows)
	}
	return exit, err
}

// describe says how the program would be started.
func (o *runOptions) describe(path string, args []string) string {
	words := append([]string{path}, args...)
	if o.target == build.Unix {
		return fmt.Sprintf("# run %q as a plain process", words) + o.volumeOptions.describe()
	}
	memory := "the default memory"
	if o.memory != 0 {
		memory = cli.FormatSize(o.memory) + " of memory"
	}
	where := "in a virtual machine"
	if o.target == build.SPT {
		where = "as a confined process"
	}
	s := fmt.Sprintf("# run %q %s with %s, network", words, where, memory)
	for i, n := range o.nets {
		if i > 0 {
			s += " and"
		}
		s += strings.TrimRight(" "+n.Kind+" "+n.Tap, " ")
	}
	for _, p := range o.publish {
		s += ", port " + p.String()
	}
	return s + o.volumeOptions.describe()
}

// execute replaces this process by the program: its signals, its terminal and
// its exit code are then its own.
func execute(path string, args, env []string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := checkExecutable(path); err != nil {
		return err
	}
	err = syscall.Exec(path, append([]string{build.ProgramName(path)}, args...), mergeEnv(os.Environ(), env))
	return fmt.Errorf("run %s: %w", path, err)
}

func checkExecutable(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return hint.Errorf("build it with: tailor build -t unix", "%s is not a program: %w", path, err)
	}
	defer f.Close()
	if f.Machine != elf.EM_X86_64 {
		return hint.Errorf("build it with: tailor build -t unix", "%s is for another processor (%v)", path, f.Machine)
	}
	return nil
}

// mergeEnv returns base with the variables of add set. Of several with one
// name, getenv would find the first.
func mergeEnv(base, add []string) []string {
	set := map[string]bool{}
	var out []string
	for _, list := range [][]string{add, base} {
		for _, kv := range slices.Backward(list) {
			name, _, _ := strings.Cut(kv, "=")
			if !set[name] {
				set[name] = true
				out = append(out, kv)
			}
		}
	}
	return out
}
