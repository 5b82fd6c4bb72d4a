package main

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/tap"
	"github.com/tailor-os/tailor/internal/volfile"
	"github.com/tailor-os/tailor/params"
)

// targetQEMU is a way to run images of target virtio, not one to build them for.
const targetQEMU = "qemu"

// checkQEMU refuses what QEMU cannot do, and a host without it.
func (o *runOptions) checkQEMU() error {
	if slices.ContainsFunc(o.volumes, isFolder) {
		return hint.Errorf("use -t hvt or -t spt, or pack the folder: tailor volume pack", "a folder of the host is no volume under QEMU")
	}
	if _, err := qemu.Find(); err != nil && !o.dryRun {
		return err
	}
	return nil
}

// slirp are the addresses in QEMU's own network behind the host, which users have
// who start it by hand: -netdev user in its manual.
var slirp = addresses{
	ip: netip.MustParsePrefix("10.0.2.15/24"), gw: netip.MustParseAddr("10.0.2.2"),
	ip6: netip.MustParsePrefix("fec0::15/64"), gw6: netip.MustParseAddr("fec0::2"),
}

// slirpDNS is its name server.
var slirpDNS = netip.MustParseAddr("10.0.2.3")

// byHandNet chooses the cards and the addresses of a guest that is started by hand.
func (c *vmConfig) byHandNet() (cards []qemu.Net, w wire, err error) {
	w.dns = c.DNS
	if c.Image != nil && !wantsNet(c.Image) {
		return nil, w, nil
	}
	for n, net := range c.Nets {
		switch net.Kind {
		case "none":
		case "tap":
			info, err := tap.Lookup(net.Tap)
			if err != nil {
				return nil, w, err
			}
			addrs, err := c.tapAddresses(info, n)
			if err != nil {
				return nil, w, err
			}
			cards = append(cards, qemu.Net{Tap: info.Name, MAC: info.GuestMAC().String(), MTU: min(info.MTU, 65535)})
			w.addrs = append(w.addrs, addrs)
		default:
			forwards, err := c.slirpForwards()
			if err != nil {
				return nil, w, err
			}
			cards = append(cards, qemu.Net{Forwards: forwards})
			addrs := slirp
			addrs.card = n
			w.addUser(addrs, slirpDNS)
		}
	}
	return cards, w, nil
}

// slirpForwards are the published ports, as QEMU's own user network has them.
func (c *vmConfig) slirpForwards() (list []qemu.Forward, err error) {
	for _, p := range c.Publish {
		if p.Addr.IsValid() && !p.Addr.Is4() {
			return nil, hint.Errorf("use an IPv4 address", "-p %s: QEMU's own user network publishes on IPv4 addresses only", p)
		}
		list = append(list, qemu.Forward{UDP: p.UDP, Addr: p.Addr, Host: p.Host, Guest: p.Guest})
	}
	return list, nil
}

// qemuMachine lays out the machine. path is the image's.
func (c *vmConfig) qemuMachine(path, machine string, cards []qemu.Net, w wire, control bool) qemu.Machine {
	words := []string{c.params(w), c.Params, strings.TrimSpace(guest.VolumeParams(c.Volumes))}
	if control {
		words = append(words, "control=com2")
	}
	if c.Stall != stallWarning {
		words = append(words, fmt.Sprintf("stall-warning=%d", (c.Stall+time.Millisecond-1).Milliseconds()))
	}
	if c.Verbose {
		words = append(words, "verbose=1")
	}
	words = append(words, params.Line{Env: c.Env, Args: c.Args}.String())
	m := qemu.Machine{Type: machine, Image: path, Memory: c.memory(), Nets: cards, CmdLine: strings.Join(strings.Fields(words[0]), " ")}
	for _, w := range words[1:] {
		m.CmdLine = strings.TrimSpace(m.CmdLine + " " + w)
	}
	m.KVM, _ = qemu.KVM("/")
	return m
}

// memory returns the guest's memory in bytes.
func (c *vmConfig) memory() uint64 {
	switch {
	case c.Memory != 0:
		return c.Memory
	case c.Image == nil:
		return defaultMemory
	case c.Target == targetQEMU && c.Image.End > defaultMemory/2:
		return (c.Image.End+1<<20-1)>>20<<20 + defaultMemory // the files of the image are in it
	}
	return max(defaultMemory, c.Image.Note.MinMemory)
}

// qemuReserve is the memory in bytes behind an image without which its boot stub
// halts: page tables, and what the runtime starts with.
const qemuReserve = 2 << 20

// startQEMU runs a virtual machine under QEMU and returns the program's exit
// code.
func startQEMU(ctx context.Context, c vmConfig, machine string) (int, error) {
	path, err := qemu.Find()
	if err != nil {
		return 0, err
	}
	if err := c.checkQEMU(); err != nil {
		return 0, err
	}
	drives, err := c.qemuDrives()
	if err != nil {
		return 0, err
	}
	defer closeDrives(drives)
	signals, stop := forwardSignals()
	defer stop()
	wire, err := c.openNet()
	if err != nil {
		return 0, err
	}
	defer wire.close()
	var cards []qemu.Net
	for n, d := range wire.devices {
		cards = append(cards, qemu.Net{Tap: c.Nets[n].Tap, MAC: net.HardwareAddr(d.MAC[:]).String(), MTU: int(d.MTU)})
	}
	cfg := qemu.Config{
		Path: path, Machine: c.qemuMachine(c.Path, machine, cards, wire, true),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
		OutOfMemory: c.adviseMemory,
	}
	cfg.Machine.Drives = drives
	for _, d := range wire.devices {
		fd, err := unix.FcntlInt(uintptr(d.FD), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return 0, os.NewSyscallError("dup", err)
		}
		f := os.NewFile(uintptr(fd), "network")
		defer f.Close()
		cfg.Nets = append(cfg.Nets, f)
	}
	accel := "KVM"
	if use, why := qemu.KVM("/"); !use {
		accel = "TCG (software emulation), because " + why
	}
	c.Log.Infof("target qemu: machine %s, %s", machine, accel)
	if c.Verbose {
		if line, err := c.describeQEMU(machine); err == nil {
			c.Log.Infof("as by hand: %s", line)
		}
	}
	return qemu.Run(ctx, cfg)
}

// checkQEMU looks for what would go wrong once QEMU runs: it would say so in
// words of its own, or the guest not at all.
func (c *vmConfig) checkQEMU() error {
	if err := checkMemory(c.Memory); err != nil {
		return err
	}
	if need := c.Image.End + qemuReserve; c.memory() < need {
		need = (need + 1<<20 - 1) >> 20 << 20
		return hint.Errorf("give it more, for example -m "+cli.FormatSize(need), "%s of memory are too few for this image", cli.FormatSize(c.memory()))
	}
	n := c.Image.Note
	return cmp.Or(image.CheckABI(n), image.CheckDevices(n, "console", "net", "block", "disk"))
}

// qemuDrives are the block devices that are behind the guest's volumes.
func (c *vmConfig) qemuDrives() (drives []qemu.Drive, err error) {
	if err := guest.CheckVolumes(c.Image.Note, c.Volumes); err != nil {
		return nil, err
	}
	for _, v := range c.Volumes {
		d := qemu.Drive{Name: v.Name, ReadOnly: v.ReadOnly}
		if f, ok := v.Disk.(*volfile.File); ok {
			d.Offset, d.Size = f.Base(), f.Size()
			d.File, err = f.Dup()
		} else {
			d.File, err = c.Secrets.Memfd()
		}
		if err != nil {
			closeDrives(drives)
			return nil, err
		}
		drives = append(drives, d)
	}
	return drives, nil
}

func closeDrives(drives []qemu.Drive) {
	for _, d := range drives {
		d.File.Close()
	}
}

// describeQEMU returns the command that runs the image by hand. Secrets have no
// file: users are to make one (docs/configuration.md).
func (c *vmConfig) describeQEMU(machine string) (string, error) {
	path, err := qemu.Find()
	if err != nil {
		path = qemu.Program
	}
	cards, wire, err := c.byHandNet()
	if err != nil {
		return "", err
	}
	m := c.qemuMachine(c.Path, machine, cards, wire, false)
	for _, v := range c.Volumes {
		d := qemu.Drive{Path: "secrets.tar"}
		if v.Name != guest.SecretsVolume {
			d = c.Sources[v.Name]
		}
		d.Name, d.ReadOnly = v.Name, v.ReadOnly
		m.Drives = append(m.Drives, d)
	}
	return qemu.Quote(qemu.CmdLine(path, m)), nil
}

// machineFlag is --machine of run.
func machineFlag(to *string) cli.Flag {
	return cli.ValueFlag(to, "machine", 0, "TYPE", "machine of QEMU, with -t qemu: microvm (default),\nq35 or pc", qemu.ParseMachine)
}

// imageTarget returns the target that images for a way of running are built for.
func imageTarget(target string) string {
	if target == targetQEMU {
		return build.Virtio
	}
	return target
}

// runTarget returns how an image is run if nothing is said.
func runTarget(n image.Note) string {
	if n.Target == build.Virtio {
		return targetQEMU
	}
	return n.Target
}

// parseRunTarget refuses what programs cannot be run as.
func parseRunTarget(s string) (string, error) {
	if s == build.Virtio {
		return "", hint.Errorf("use -t qemu", "images of target virtio need a hypervisor")
	}
	known := slices.DeleteFunc(slices.Clone(build.Targets), func(t string) bool { return t == build.Virtio })
	return parseOneOf(s, append(known, targetQEMU))
}
