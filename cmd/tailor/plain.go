package main

import (
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

// Flags that mean nothing where they are given are refused, not ignored: who wrote one
// expects something of it.

// A flagUse is a flag of the command line.
type flagUse struct {
	name  string // as users write it, with a value
	given bool
	// why a plain process has no use for it, and what to do instead of it; "" if it has
	why, instead string
}

// checkPlain refuses the first of uses that was given, for a plain process.
func checkPlain(targets string, uses []flagUse) error {
	for _, u := range uses {
		if u.given && u.why != "" {
			return hint.Errorf(u.instead+", or use -t hvt (tailor doctor says what it needs)",
				"%s is for the targets %s: a plain process (target unix) %s", u.name, targets, u.why)
		}
	}
	return nil
}

// uses are the flags that change what is built.
func (o *buildOptions) uses() []flagUse {
	const (
		mounts = "mounts nothing, it has the host's own files"
		paths  = "remove it and give the program the paths of the host's files"
		disks  = "is not built for disks, it has those that it is started with"
		start  = "remove it, and start it with: tailor run -t unix --disk NAME=FILE"
	)
	return []flagUse{
		{name: "--tags", given: o.tags != ""},
		{name: "--ldflags", given: o.ldflags != ""},
		{name: "--file", given: len(o.files) > 0}, // internal/build refuses it
		{name: "--dhcp", given: o.dhcp, why: "has the host's own network", instead: "remove it"},
		{name: "--luks", given: o.luks, why: "opens no encrypted volumes and disks", instead: "remove it; cryptsetup open makes a device of one"},
		{name: "--log or --resolver", given: len(o.linked) > 0},
		{name: "--metrics", given: o.metrics},
		{name: "--ntp", given: o.ntp},
		{name: "--needs " + strings.Join(o.needs, ", "), given: len(o.needs) > 0, why: mounts, instead: paths},
		{name: "--volumes", given: o.anyVol, why: mounts, instead: paths},
		{name: "--disk " + strings.Join(o.diskSet, ", "), given: len(o.diskSet) > 0, why: disks, instead: start},
		{name: "--disks", given: o.anyDisk, why: disks, instead: start},
	}
}

// checkUnix refuses what a plain program cannot be built with.
func (o *buildOptions) checkUnix() error {
	switch {
	case o.target != build.Unix:
		return nil
	case o.trace != "":
		return errTraceUnix()
	case o.ntp:
		return errNTPUnix()
	}
	return checkPlain("hvt, spt and virtio", o.uses())
}

// checkBuilt refuses flags that change what is built, for something that is built
// already. hintText says what to do instead.
func (o *buildOptions) checkBuilt(path, hintText string) error {
	for _, u := range o.uses() {
		if u.given {
			return hint.Errorf(hintText, "%s is for a package: %s is built already", u.name, path)
		}
	}
	return nil
}

// checkUnixMachine refuses the flags of run that are about a virtual machine.
func (o *runOptions) checkUnixMachine() error {
	publish, memory := "-p", cli.FormatSize(o.memory)
	if len(o.publish) > 0 {
		publish += " " + o.publish[0].String()
	}
	return checkPlain("hvt, spt and qemu", []flagUse{
		{name: "--net user", given: !o.defaultNet, why: "has the host's own network", instead: "remove it"},
		{name: publish, given: len(o.publish) > 0, why: "listens at the host's own ports", instead: "remove it"},
		{name: "-m " + memory, given: o.memory != 0, why: "has the memory of the host", instead: "bound Go's heap by -e GOMEMLIMIT=" + memory + "iB"},
		{name: "--stall-warning", given: o.stallGiven, why: "has Linux's threads, and none waits for another", instead: "remove it"},
	})
}
