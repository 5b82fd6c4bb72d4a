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
	{layerFiles, []pattern{"Tailor/volume/...", "Tailor/libos/extfs", "Tailor/libos/tarmount", "Tailor/libos/blockfile", "Tailor/libos/fusefs", "Tailor/boot/files", "Tailor/boot/shares", "Tailor/boot/volumes/..."}},
	{layerDrivers, []pattern{"Tailor/virtio/...", "Tailor/block/...", "Tailor/boot/platform", "Tailor/boot/acpi", "Tailor/boot/event"}},
	{layerTCPIP, []pattern{"Tailor/netstack/...", "Tailor/boot/network", "Tailor/gvisor/...", "Tailor/btree", "Tailor/time/rate", "Tailor/exp/..."}},
	{layerLibos, []pattern{"Tailor/..."}},
	{layerRuntime, []pattern{"runtime/...", "internal/runtime/...", "internal/abi", "internal/bytealg", "internal/cpu", "internal/chacha8rand", "internal/goarch", "internal/goos", "internal/goexperiment", "internal/stringslite", "internal/coverage/rtcov", "internal/profilerecord", "internal/byteorder"}},
	{layerTLS, []pattern{"crypto/tls/..."}},
	{layerCrypto, []pattern{"crypto/...", "vendor/golang.org/x/crypto/...", "hash/..."}},
	{layerApp, []pattern{"main"}},
}

// inModule matches the file of a package of a module at a version, as the
// compiler records it.
var inModule = regexp.MustCompile(`^(?:.*/pkg/mod/)?(.+)@v[0-9][^/]*/`)

// modules are the modules of a program, as its linker recorded them.
type modules struct {
	main string   // "" if it is not known
	deps []string // paths
}

func modulesOf(p *anatomy.Program) (m modules) {
	if p.Build == nil {
		return m
	}
	m.main = p.Build.Main.Path
	for _, d := range p.Build.Deps {
		m.deps = append(m.deps, d.Path)
	}
	return m
}

// layerOf returns the layer of what somebody owns.
func (m modules) layerOf(o anatomy.Owner) layer {
	if o.Package == "" {
		return layerShared
	}
	for _, p := range layerPatterns {
		if anyMatches(p.list, o.Package, o.File, "") {
			return p.layer
		}
	}
	longest := ""
	for _, path := range append([]string{m.main}, m.deps...) {
		if len(path) > len(longest) && within(o.Package, path) {
			longest = path
		}
	}
	switch first, _, _ := strings.Cut(o.Package, "/"); {
	case longest != "" && longest == m.main:
		return layerApp
	case longest != "":
		return layer("module " + longest)
	case inModule.MatchString(o.File):
		return layer("module " + inModule.FindStringSubmatch(o.File)[1])
	case strings.Contains(first, "."):
		return layer("module " + o.Package)
	}
	return layerStd
}

// within reports whether a package is that of a module's path or lies below it.
func within(pkg, module string) bool {
	return module != "" && (pkg == module || strings.HasPrefix(pkg, module+"/"))
}
