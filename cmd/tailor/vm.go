package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
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
	"github.com/tailor-os/tailor/internal/volume"
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
	Nets    []cli.Net     // eth0 first
	Publish []cli.Publish
	Addrs   []addresses  // given by the user, of each of Nets; nil for none
	DNS     []netip.Addr // given by the user
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
		Nets: wire.devices, Signals: signals, Stall: c.Stall, Stats: &stats,
	}
	exit, err := c.start(ctx, cfg)
	if stats.OutOfMemory > 0 {
		c.adviseMemory()
	}
	if c.Verbose {
		c.Log.Infof("exit code %d; %d VM exits, %d notifications, %d times idle; set up in %v, first notification after %v",
			exit, stats.Exits, stats.Notifies, stats.Idles, stats.Setup, stats.FirstNotify)
		if n := stats.Net; len(wire.devices) > 0 {
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
