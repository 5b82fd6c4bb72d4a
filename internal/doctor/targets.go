package doctor

import (
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

// A Target is a way to run programs, and whether it works here. Its JSON form is
// documented in docs/cli.md.
type Target struct {
	Name      string `json:"name"`
	State     State  `json:"state"`
	Detail    string `json:"detail"`    // what it is, or what is missing for it
	Build     string `json:"build"`     // what tailor build -t makes for it
	What      string `json:"what"`      // what it is
	Hardening string `json:"hardening"` // what keeps the program from the host
	Missing   string `json:"missing,omitempty"`
	Remedy    string `json:"remedy,omitempty"`
}

const (
	vmHardening  = "the processor's virtualization; the program in ring 3, code read-only"
	tcgHardening = "none to rely on: QEMU's emulator does not claim to confine a hostile guest"
	// neverRun is true of hypervisors that are in no package here.
	neverRun = "protocol tested, hypervisor not run"
)

// targets lists all targets, the strongest first.
func targets(cfg Config, goCheck, kvm, qemu Check) []Target {
	qemuHardening := vmHardening
	if qemu.State == Limited {
		qemuHardening = tcgHardening
	}
	var list []Target
	for _, row := range []struct {
		Target
		label string // of what it needs, "" for what its check says itself
		check Check  // of that
	}{
		{Target{Name: "hvt", Build: build.HVT, What: "a virtual machine under Tailor's own monitor",
			Hardening: vmHardening + "; a monitor of one process, in Go, with few devices"}, "KVM", kvm},
		{Target{Name: "spt", Build: build.SPT, What: "the image as a process that seccomp confines",
			Hardening: "seccomp, six system calls with checked arguments; no files, no environment"}, "", spt(cfg)},
		{Target{Name: "qemu-microvm", Build: build.Virtio, What: "a virtual machine under QEMU, small: virtio-mmio, no PCI", Hardening: qemuHardening}, "QEMU", qemu},
		{Target{Name: "qemu-q35", Build: build.Virtio, What: "a virtual machine under QEMU, like a PC: virtio-pci", Hardening: qemuHardening}, "QEMU", qemu},
		{Target{Name: "firecracker", Build: build.Virtio, What: "a virtual machine under Firecracker: virtio-mmio", Hardening: vmHardening + "; its jailer"}, "", other("firecracker")},
		{Target{Name: "cloud-hypervisor", Build: build.Virtio, What: "a virtual machine under Cloud Hypervisor: virtio-pci", Hardening: vmHardening + "; its seccomp filters"}, "", other("cloud-hypervisor")},
		{Target{Name: "unix", Build: build.Unix, What: "a plain process on the host's own network and files", Hardening: "none: what the user may do, the program may"}, "", ok("unix", "")},
	} {
		t := row.Target
		t.needs(row.label, row.check)
		t.needsGo(goCheck)
		t.Detail = t.What
		if t.Missing != "" {
			t.Detail = t.Missing
		}
		list = append(list, t)
	}
	return list
}

// needs takes over the state of what t needs.
func (t *Target) needs(what string, c Check) {
	t.State = c.State
	if c.State == OK {
		return
	}
	t.Missing, t.Remedy = c.Detail, c.Remedy
	if c.State == Missing && what != "" {
		t.Missing = "needs " + what + ": " + c.Detail
	}
}

// needsGo says what cannot be built. Only plain programs always are.
func (t *Target) needsGo(c Check) {
	switch {
	case t.State == Missing:
	case t.Name == build.Unix && c.State == Missing:
		t.State, t.Missing, t.Remedy = Missing, "needs Go: "+c.Detail, c.Remedy
	case t.Name != build.Unix && c.State != OK:
		t.State, t.Missing, t.Remedy = Limited, "runs images, cannot build them: "+c.Detail, c.Remedy
	}
}

// spt asks whether processes can be confined here.
func spt(cfg Config) Check {
	if err := cfg.CheckSPT(); err != nil {
		return missing("spt", err.Error(), hint.Of(err))
	}
	return ok("spt", "")
}

// other looks for a hypervisor that tailor does not start itself.
func other(program string) Check {
	path, err := exec.LookPath(program)
	if err != nil {
		return missing(program, "no "+program+" in PATH; "+neverRun, "install it; docs/targets.md has the command lines")
	}
	return limited(program, neverRun+" ("+path+")", "docs/targets.md has the command lines")
}

// WriteTargets prints targets for people, in lines of width columns, or of any length
// if that is 0.
func WriteTargets(w io.Writer, list []Target, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s  %-7s  %s\n", "TARGET", "STATE", "WHAT IT IS")
	for _, t := range list {
		b.WriteString(cli.Hang(fmt.Sprintf("%-16s  %-7s  ", t.Name, t.State), t.What, width))
		for _, line := range [][2]string{{"built with", "tailor build -t " + t.Build}, {"hardening", t.Hardening}, {"missing", t.Missing}, {"to do", t.Remedy}} {
			if line[1] != "" {
				b.WriteString(cli.Hang(fmt.Sprintf("%27s%-11s ", "", line[0]+":"), line[1], width))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
