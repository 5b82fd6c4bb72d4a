// Package tailor carries the source of everything that goes into an image, so
// that the tool can lay it over a user's Go tree wherever it is installed.
package tailor

import "embed"

// Source holds the guest's packages (abi, block, boot, entropy, libos, logs, machine,
// metrics, names, netstack, ntp, params, virtio, volume) as they are in this repository, and go.mod and go.sum, which pin the
// modules they use.
//
//go:embed go.mod go.sum
//go:embed abi/*.go block boot entropy libos logs machine metrics names netstack ntp params virtio volume
var Source embed.FS

// Module is this module's path: the prefix of the guest packages' imports.
const Module = "github.com/tailor-os/tailor"
