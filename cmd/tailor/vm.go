package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/monitor"
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/spt"
	"github.com/tailor-os/tailor/internal/tap"
	"github.com/tailor-os/tailor/internal/usernet"
	"github.com/tailor-os/tailor/internal/volume"
	"github.com/tailor-os/tailor/params"
)

// defaultMemory is the guest's memory in bytes without -m. The host gives only
// what the guest touches.
const defaultMemory = 256 << 20

// A vmConfig is what run passes on to a virtual machine.
type vmConfig struct {
	Target  string // build.HVT, build.SPT or targetQEMU
	Image   *image.Image
	Path    string // of the image, for messages
	Name    string // os.Args[0]; images of target virtio have it in themselves
	Args    []string
	Env     []string
	Memory  uint64 // bytes, 0 for the default
	Verbose bool
	Stall   time.Duration // what a guest is warned about, 0 for nothing
	Net     cli.Net
	Publish []cli.Publish
	Addrs   addresses // given by the user
	Shares  []guest.Share
	Volumes []guest.Volume
	Secrets *volume.Secrets       // one of Volumes; nil for none
	Sources map[string]qemu.Drive // what is behind Volumes by name
	Params  string                // further boot parameters
	Log     *cli.Printer
	Trace   string // what to trace, "" for nothing
}

// checkVM reports whether virtual machines can be run here.
func checkVM() error { return monitor.Check() }

// canRun reports whether images can be run here on a target.
func canRun(target string) error {
	if target == build.SPT {
		return spt.Check()
	}
	return checkVM()
}

// guestSignals are passed on to the guest's program.
var guestSignals = []os.Signal{
	unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGUSR2,
}

// startVM runs a virtual machine and returns the program's exit code.
func startVM(ctx context.Context, c vmConfig) (int, error) {
	if err := checkMemory(c.Memory); err != nil {
		return 0, err
	}
	signals, stop := forwardSignals()
	defer stop()
	wire, err := c.openNet()
	if err != nil {
		return 0, err
	}
	defer wire.close()
	memory := c.memory()
	var stats guest.Stats
	cfg := guest.Config{
		Image: c.Image, Args: append([]string{c.Name}, c.Args...), Env: c.Env, Memory: memory,
		Params: c.params(wire) + " " + c.Params, Shares: c.Shares, Volumes: c.Volumes, Verbose: c.Verbose,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Net: wire.device, Signals: signals, Stall: c.Stall, Stats: &stats,
	}
	exit, err := c.start(ctx, cfg)
	if stats.OutOfMemory > 0 {
		c.adviseMemory()
	}
	if c.Verbose {
		c.Log.Infof("exit code %d; %d VM exits, %d notifications, %d times idle; set up in %v, first notification after %v",
			exit, stats.Exits, stats.Notifies, stats.Idles, stats.Setup, stats.FirstNotify)
		if n := stats.Net; wire.device != nil {
			c.Log.Infof("network: sent %d packets (%d dropped), received %d (%d dropped), woke the guest %d times",
				n.TxPackets, n.TxDropped, n.RxPackets, n.RxDropped, n.Wakes)
		}
	}
	return exit, err
}

// adviseMemory says what to do for a guest that ran out of memory.
func (c *vmConfig) adviseMemory() {
	memory := c.memory()
	c.Log.Infof("hint: the guest ran out of its %s of memory; give it more: -m %s", cli.FormatSize(memory), cli.FormatSize(2*memory))
}

// start runs the guest on its target.
func (c *vmConfig) start(ctx context.Context, cfg guest.Config) (int, error) {
	if c.Target != build.SPT {
		return monitor.Run(ctx, cfg)
	}
	note := func(what string) {
		if c.Verbose {
			c.Log.Infof("spt: the kernel did not allow it: %s", what)
		}
	}
	exit, err := spt.Run(ctx, cfg, note)
	var denied *spt.Denied
	if errors.As(err, &denied) {
		c.Log.Error(explain(err))
		return exit, nil
	}
	return exit, err
}

// params are the guest's boot parameters.
func (c *vmConfig) params(w wire) string {
	p := w.addrs.params()
	p += c.defaults(p)
	if c.Trace != "" {
		p += " trace=" + c.Trace
	}
	return strings.TrimSpace(p)
}

// defaults tells a guest that has settings on a volume which of its addresses, as
// boot parameters, nobody has given, so that those there count more.
func (c *vmConfig) defaults(addrs string) string {
	if !slices.ContainsFunc(c.Volumes, func(v guest.Volume) bool { return v.Name == guest.ConfVolume }) {
		return ""
	}
	var names []string
	for word := range strings.FieldsSeq(addrs) {
		name, _, _ := strings.Cut(word, "=")
		given := c.Addrs.given()
		if name == "dns" {
			given = len(c.Addrs.dns) > 0
		}
		if !given && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if names == nil {
		return ""
	}
	return " " + params.Defaults + "=" + strings.Join(names, ",")
}

// checkMemory refuses more memory than the host has. The monitor knows the
// other end, what an image needs at least.
func checkMemory(n uint64) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil || n == 0 {
		return nil
	}
	total := info.Totalram * uint64(info.Unit)
	if n > total {
		return hint.Errorf(fmt.Sprintf("give it less, for example -m %s", cli.FormatSize(min(total/2>>20<<20, 1<<30))),
			"-m %s: this host has %s of memory", cli.FormatSize(n), cli.FormatSize(total>>20<<20))
	}
	return nil
}

// forwardSignals returns the signals for the guest from now on.
func forwardSignals() (<-chan unix.Signal, func()) {
	in := make(chan os.Signal, len(guestSignals))
	out := make(chan unix.Signal, len(guestSignals))
	done := make(chan struct{})
	signal.Notify(in, guestSignals...)
	go func() {
		for {
			select {
			case s := <-in:
				if n, ok := s.(unix.Signal); ok {
					select {
					case out <- n:
					case <-done:
						return
					}
				}
			case <-done:
				return
			}
		}
	}()
	return out, func() {
		signal.Stop(in)
		close(done)
	}
}

// A wire is the host's side of the guest's network.
type wire struct {
	device *guest.Net // nil for none
	addrs  addresses
	close  func() error
}

// wantsNet reports whether the image has a network device.
func wantsNet(img *image.Image) bool {
	for _, d := range img.Note.Devices {
		if d.Type == "net" {
			return true
		}
	}
	return false
}

func (c *vmConfig) openNet() (wire, error) {
	none := wire{close: func() error { return nil }}
	if !wantsNet(c.Image) {
		c.warnNoNet()
		none.addrs.dns = c.Addrs.dns // for /etc/resolv.conf
		return none, nil
	}
	switch c.Net.Kind {
	case "tap":
		return c.openTap()
	case "none":
		return none, nil
	}
	return c.openUser()
}

// warnNoNet says which flags mean nothing to a program without a network.
func (c *vmConfig) warnNoNet() {
	if len(c.Publish) > 0 {
		c.Log.Warnf("-p %s has no effect: the program does not import net", c.Publish[0])
	}
	if c.Net.Tap != "" {
		c.Log.Warnf("--net tap:%s has no effect: the program does not import net", c.Net.Tap)
	}
}

func (c *vmConfig) openTap() (wire, error) {
	dev, err := tap.Open(c.Net.Tap)
	if err != nil {
		return wire{}, err
	}
	info := dev.Info()
	w := wire{close: dev.Close}
	w.device = &guest.Net{FD: dev.FD(), MTU: uint16(min(info.MTU, 65535))}
	copy(w.device.MAC[:], info.GuestMAC())
	if w.addrs, err = c.tapAddresses(info); err != nil {
		dev.Close()
		return wire{}, err
	}
	if !info.Up {
		c.Log.Warnf("%s is down and passes nothing: sudo ip link set %s up", info.Name, info.Name)
	}
	if !c.Addrs.given() {
		c.Log.Infof("network %s: %s", info.Name, w.addrs.chosen())
	}
	return w, nil
}

// tapAddresses returns the guest's addresses on a tap: those that are given; else it
// finds them, if it can, or has ones next to the host's.
func (c *vmConfig) tapAddresses(info tap.Info) (addresses, error) {
	addrs := c.Addrs
	if addrs.given() {
		return addrs, nil
	}
	if !addrs.host && c.hasDHCP() {
		addrs.dhcp = true
		return addrs, nil
	}
	return addrs, addrs.suggest(info)
}

// hasDHCP reports whether the guest can find its addresses. Without an image, it is
// one that is built for it.
func (c *vmConfig) hasDHCP() bool {
	return c.Image == nil || c.Image.Note.Target == build.Virtio || slices.Contains(c.Image.Note.Services, build.DHCP)
}

// chosen says which addresses were chosen for a guest on a tap.
func (a *addresses) chosen() string {
	if a.dhcp {
		return "the guest finds its addresses, by DHCP and from routers (--ip host: next to the host's)"
	}
	return a.params()
}

// suggest fills in addresses next to the host's own on a tap.
func (a *addresses) suggest(info tap.Info) error {
	var ok4, ok6 bool
	a.ip, a.gw, ok4 = info.Suggest(false)
	a.ip6, a.gw6, ok6 = info.Suggest(true)
	if ok4 || ok6 {
		return nil
	}
	remedy, why := "add --ip ADDRESS/BITS", ""
	if !a.host {
		remedy, why = "build the image with --dhcp, add --ip ADDRESS/BITS", "the image has no DHCP client, "
	}
	return hint.Errorf(fmt.Sprintf("%s, or give the host one: sudo ip addr add 192.0.2.1/24 dev %s", remedy, info.Name),
		"no address for the guest: %s--ip does not give one, and the host has none on %s to go by", why, info.Name)
}

func (c *vmConfig) openUser() (wire, error) {
	n, err := usernet.New(usernet.Config{Forwards: forwards(c.Publish), Bare: c.Target == targetQEMU, Log: c.Log.Warnf})
	if err != nil {
		return wire{}, err
	}
	if c.Verbose {
		for i, at := range n.Published() {
			c.Log.Infof("port %d/%s of the guest is %s here", c.Publish[i].Guest, c.Publish[i].Proto(), at)
		}
	}
	plan := n.Guest()
	w := wire{close: n.Close, addrs: addresses{
		ip: plan.IPv4, gw: plan.Gateway4, ip6: plan.IPv6, gw6: plan.Gateway6,
		dns: c.Addrs.dns,
	}}
	if len(w.addrs.dns) == 0 {
		w.addrs.dns = []netip.Addr{plan.DNS4, plan.DNS6}
	}
	w.device = &guest.Net{FD: n.GuestFD(), MTU: uint16(min(plan.MTU, 65535))}
	copy(w.device.MAC[:], plan.MAC)
	return w, nil
}

func forwards(publish []cli.Publish) (out []usernet.Forward) {
	for _, p := range publish {
		out = append(out, usernet.Forward{
			Network: p.Proto(), HostAddr: netip.AddrPortFrom(p.Addr, p.Host), GuestPort: p.Guest,
		})
	}
	return out
}
