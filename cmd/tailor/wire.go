package main

import (
	"context"
	"errors"
	"net/netip"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/image"
)

// This file joins the verbs to the packages that do the work.

// runtimePort derives the runtime port for images.
var runtimePort = build.Port{
	Supported: []string{"1.26", "1.27"},
	MainFile:  "tailor_image.go",
	Prepare: func(context.Context, build.PortConfig) (string, error) {
		return "", errors.New("the runtime port is not there yet")
	},
}

// A vmConfig is what run passes on to a virtual machine.
type vmConfig struct {
	Image    *image.Image
	Path     string // of the image, for messages and os.Args[0]
	Args     []string
	Env      []string
	Memory   uint64 // bytes, 0 for the default
	Verbose  bool
	Net      cli.Net
	Publish  []cli.Publish
	IP       []netip.Prefix
	Gateways []netip.Addr
	DNS      []netip.Addr
	Log      *cli.Printer
}

// checkVM reports whether virtual machines can be run here.
var checkVM = func() error { return errors.New("the monitor is not there yet") }

// startVM runs a virtual machine and returns the program's exit code.
var startVM = func(context.Context, vmConfig) (int, error) {
	return 0, errors.New("the monitor is not there yet")
}
