package inventory

import (
	"regexp"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// A layer is a part of a program as people think of one.
type layer string

// The layers but for modules, which are layers of their own.
const (
	layerMachine layer = "machine"
	layerLibos   layer = "library OS"
	layerDrivers layer = "drivers"
	layerFiles   layer = "file systems"
	layerTCPIP   layer = "TCP/IP"
	layerRuntime layer = "Go runtime"
	layerCrypto  layer = "crypto"
	layerTLS     layer = "TLS"
	layerStd     layer = "standard library"
	layerApp     layer = "application"
	layerShared  layer = "of several packages"
)

// layerOrder is how layers are shown; modules come before the last two.
var layerOrder = []layer{layerMachine, layerLibos, layerDrivers, layerFiles, layerTCPIP, layerRuntime, layerCrypto, layerTLS, layerStd, layerApp, layerShared}

// layerPatterns say which layer packages are of; the first that matches counts.
var layerPatterns = []struct {
	layer layer
	list  []pattern
}{
	{layerMachine, []pattern{"runtime/tailor_*.go", "runtime/tailor_*.s"}},
	{layerFiles, []pattern{"Tailor/volume/...", "Tailor/libos/extfs", "Tailor/libos/tarmount", "Tailor/libos/fusefs", "Tailor/boot/files", "Tailor/boot/shares", "Tailor/boot/volumes"}},
	{layerDrivers, []pattern{"Tailor/virtio/...", "Tailor/block/...", "Tailor/boot/platform", "Tailor/boot/acpi"}},
	{layerLibos, []pattern{"Tailor/libos/...", "Tailor/params", "Tailor/entropy", "Tailor/boot/event", "Tailor/boot/roots", "Tailor/abi", "Tailor/zones"}},
	{layerTCPIP, []pattern{"Tailor/..."}},
	{layerRuntime, []pattern{"runtime/...", "internal/runtime/...", "internal/abi", "internal/bytealg", "internal/cpu", "internal/chacha8rand", "internal/goarch", "internal/goos", "internal/goexperiment", "internal/stringslite", "internal/coverage/rtcov", "internal/profilerecord", "internal/byteorder"}},
	{layerTLS, []pattern{"crypto/tls/..."}},
	{layerCrypto, []pattern{"crypto/...", "vendor/golang.org/x/crypto/...", "hash/..."}},
	{layerApp, []pattern{"main"}},
}

// inModule matches the file of a package of a module at a version, as the
// compiler records it with -trimpath.
var inModule = regexp.MustCompile(`^(.+)@v[0-9][^/]*/`)

// layerOf returns the layer of what is in the file of a package, the main module
// of which is mainModule.
func layerOf(o anatomy.Owner, mainModule string) layer {
	if o.Package == "" {
		return layerShared
	}
	for _, p := range layerPatterns {
		if anyMatches(p.list, o.Package, o.File, "") {
			return p.layer
		}
	}
	if mainModule != "" && (o.Package == mainModule || strings.HasPrefix(o.Package, mainModule+"/")) {
		return layerApp
	}
	if m := inModule.FindStringSubmatch(o.File); m != nil {
		return layer("module " + m[1])
	}
	if first, _, _ := strings.Cut(o.Package, "/"); strings.Contains(first, ".") {
		return layer("module " + o.Package)
	}
	return layerStd
}
