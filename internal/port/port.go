// Package port derives the runtime port: what `go build -overlay` needs to
// build an unmodified program for a machine without Linux.
//
// The port has three parts. Edits (edits.go) are applied to copies of files of
// the user's own GOROOT, and each must match exactly as often as it says.
// Package machine's files join package runtime. The other guest packages, and
// the modules they use, appear in the standard library's tree below Tailor/,
// so that they never meet the user's go.mod, workspace or vendor folder.
package port

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/tailor-os/tailor"
	"github.com/tailor-os/tailor/internal/cache"
)

// Supported lists the Go releases that the edits are known to fit, oldest
// first, as "1.26".
var Supported = []string{"1.26", "1.27"}

// Prefix is the first element of the guest packages' import paths. It starts
// with a capital so that the linker, which orders independent packages by
// path, initializes them before the user's.
const Prefix = "Tailor/"

// Toolchain is the Go distribution that will compile the program.
type Toolchain struct {
	Go      string // the go command
	GOROOT  string
	Version string // "go1.26.8"
}

// Release returns the toolchain's release, "1.26", or "" for a development
// version.
func (t Toolchain) Release() string {
	v, ok := strings.CutPrefix(t.Version, "go")
	if !ok {
		return ""
	}
	parts := strings.SplitN(v, ".", 3)
	if len(parts) < 2 {
		return ""
	}
	minor := parts[1]
	if i := strings.IndexFunc(minor, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		minor = minor[:i] // 1.27rc1
	}
	return parts[0] + "." + minor
}

// Config says what to derive.
type Config struct {
	Toolchain Toolchain
	CacheDir  string // where derived files are kept
	Network   bool   // link the TCP/IP stack
	// Complete makes every system call available, for a program that makes some
	// without the standard library's functions.
	Complete bool
	// Diagnostics links what runtime/trace and runtime/metrics need of the
	// runtime.
	Diagnostics bool
	// Shares links what mounts the host's folders that the starter offers, into
	// a program that imports os.
	Shares bool
	// Volumes links what mounts volumes, Disks what shows block devices to the program,
	// LUKS with one of them what opens encrypted ones.
	Volumes, Disks, LUKS bool
	// DHCP links what finds a network card's address, with Network.
	DHCP bool
	// Trace links the tracer of system calls.
	Trace bool
	// Files links what mounts the files that the image carries.
	Files bool
	// Virtio makes a guest that finds its devices itself, instead of one of
	// Tailor's own monitor.
	Virtio bool
	// Services are what is linked beside the program: names of [Services]. The package
	// [Linked] brings them.
	Services []string
	// Attributes says that the program has log/slog.
	Attributes bool
	// Unix makes a plain program of Linux's, which has nothing but Services.
	Unix bool
	// Extra maps further paths to the files that stand in for them.
	Extra map[string]string
}

// blocks reports whether the image has block devices.
func (c *Config) blocks() bool { return c.Volumes || c.Disks }

// An UnsupportedError says that the toolchain is not one the port fits.
type UnsupportedError struct{ Version, Detail string }

func (e *UnsupportedError) Error() string {
	if e.Detail != "" {
		return fmt.Sprintf("the runtime port does not fit this %s: %s", e.Version, e.Detail)
	}
	return fmt.Sprintf("%s is not supported (supported: Go %s)", e.Version, strings.Join(Supported, ", "))
}

// Prepare derives the port for cfg and returns the path of the overlay file
// for `go build -overlay`. What does not depend on the program is kept in
// cfg.CacheDir and reused; it stays there as long as this process lives.
func Prepare(ctx context.Context, cfg Config) (overlayFile string, err error) {
	if !slices.Contains(Supported, cfg.Toolchain.Release()) {
		return "", &UnsupportedError{Version: cfg.Toolchain.Version}
	}
	key, err := cacheKey(cfg)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cfg.CacheDir, cache.Ports, cfg.Toolchain.Version+"-"+key)
	if err := cache.Use(dir); err != nil {
		return "", err
	}
	base, err := readOverlay(filepath.Join(dir, "base.json"))
	if err != nil {
		if base, err = derive(ctx, cfg, dir); err != nil {
			return "", err
		}
	}
	for path, file := range cfg.Extra {
		base[path] = file
	}
	return writeOverlay(filepath.Join(dir, "overlay"), base)
}

// source is this package's own code, which decides what is derived.
//
//go:embed *.go
var source embed.FS

// cacheKey names everything that the derived files depend on: this tool's
// guest sources, this package, and the identity of GOROOT.
func cacheKey(cfg Config) (string, error) {
	h := sha256.New()
	sum, err := SourceHash()
	if err != nil {
		return "", err
	}
	fmt.Fprintln(h, sum)
	if version, err := os.Stat(filepath.Join(cfg.Toolchain.GOROOT, "VERSION")); err == nil {
		fmt.Fprintln(h, version.ModTime().UnixNano(), version.Size())
	}
	fmt.Fprintln(h, cfg.Toolchain.GOROOT, cfg.Network, cfg.Complete, cfg.Diagnostics, cfg.Shares, cfg.Trace, cfg.Files, cfg.Virtio, cfg.Volumes, cfg.Disks, cfg.DHCP, cfg.LUKS, cfg.Services, cfg.Attributes, cfg.Unix)
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

// SourceHash names what images have of Tailor: a hash of the sources of the guest's
// packages and of this package, without their tests, in hexadecimal.
func SourceHash() (string, error) { return sourceHash() }

var sourceHash = sync.OnceValues(func() (string, error) {
	h := sha256.New()
	for _, files := range []fs.FS{tailor.Source, source} {
		err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testdata/") {
				return err
			}
			data, err := fs.ReadFile(files, path)
			fmt.Fprintf(h, "%s %d\n", path, len(data))
			h.Write(data)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
})

type overlay struct{ Replace map[string]string }

func readOverlay(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var o overlay
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	if o.Replace == nil {
		return nil, errors.New("empty overlay")
	}
	return o.Replace, nil
}

// writeOverlay writes an overlay file named after its content, so that builds
// running at the same time do not disturb each other.
func writeOverlay(dir string, replace map[string]string) (string, error) {
	data, err := json.Marshal(overlay{replace})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	file := filepath.Join(dir, hex.EncodeToString(sum[:8])+".json")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	return file, writeFile(file, data)
}

// writeFile writes a file whole or not at all.
func writeFile(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

// derive writes the derived files below dir and returns the overlay without
// the program's part.
func derive(ctx context.Context, cfg Config, dir string) (map[string]string, error) {
	d := deriver{
		goroot:  filepath.Join(cfg.Toolchain.GOROOT, "src"),
		dir:     dir,
		replace: map[string]string{},
		laid:    map[string]bool{},
		release: cfg.Toolchain.Release(),
		virtio:  cfg.Virtio,
		unix:    cfg.Unix,
	}
	if err := d.edits(cfg); err != nil {
		return nil, err
	}
	roots, err := d.services(cfg)
	if err != nil {
		return nil, err
	}
	if !cfg.Unix {
		if err := d.image(ctx, cfg, roots); err != nil {
			return nil, err
		}
	} else if err := d.packages(roots); err != nil {
		return nil, err
	}
	if err := d.summarize(); err != nil {
		return nil, err
	}
	data, err := json.Marshal(overlay{d.replace})
	if err != nil {
		return nil, err
	}
	return d.replace, writeFile(filepath.Join(dir, "base.json"), data)
}

// image derives what makes an image, with further packages of the guest.
func (d *deriver) image(ctx context.Context, cfg Config, more []string) error {
	if err := d.machine(); err != nil {
		return err
	}
	if err := d.zones(cfg.Toolchain.Version); err != nil {
		return err
	}
	roots := append([]string{tailor.Module + "/abi", tailor.Module + "/libos"}, more...)
	if cfg.Network {
		const network = tailor.Module + "/boot/network"
		roots = append(roots, network)
		var err error
		if d.modules, err = fetchModules(ctx, cfg.Toolchain, d.dir); err != nil {
			return err
		}
		// Package x509 imports net, too.
		if err := d.roots(); err != nil {
			return err
		}
		// Package net brings the network in: a program that does not import
		// it has none.
		to, _ := guestPath(network)
		link := "package net\n\nimport _ " + strconv.Quote(to) + "\n"
		if err := d.put("net/tailor_network.go", []byte(link)); err != nil {
			return err
		}
	}
	linked, err := d.links(cfg)
	if err != nil {
		return err
	}
	if err := d.packages(append(roots, linked...)); err != nil {
		return err
	}
	return d.switches(cfg)
}

// links links what brings services up into packages that come before whatever uses
// them, and returns the packages linked.
func (d *deriver) links(cfg Config) (roots []string, err error) {
	for _, l := range []struct {
		wanted    bool
		pkg, into string
	}{
		{cfg.Shares, "boot/shares", "os"},
		{cfg.Shares, "boot/shares", "time"}, // which reads zones without os, and its tests do so early
		{cfg.blocks() && !cfg.LUKS, "boot/volumes/plain", "syscall"},
		{cfg.blocks() && cfg.LUKS, "boot/volumes/luks", "syscall"},
		{cfg.Files, "boot/files", "syscall"},     // what makes system calls sees them, and so does what comes after it
		{cfg.Virtio, "boot/platform", "syscall"}, // so devices are there before
	} {
		if !l.wanted {
			continue
		}
		root, err := d.link(l.pkg, l.into)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return roots, nil
}

// switches sets the constants of the guest's sources that link more.
func (d *deriver) switches(cfg Config) error {
	for _, s := range []struct {
		wanted             bool
		file, to, constant string
	}{
		{cfg.Complete, "libos/complete.go", Prefix + "libos/complete.go", "complete"},
		{cfg.Network && cfg.DHCP, "boot/network/dhcp.go", Prefix + "boot/network/dhcp.go", "dhcp"},
		{cfg.Volumes, "boot/volumes/mounting.go", Prefix + "boot/volumes/mounting.go", "mounting"},
		{cfg.Disks, "boot/volumes/showing.go", Prefix + "boot/volumes/showing.go", "showing"},
		{cfg.blocks() && cfg.Virtio, "boot/platform/volumes.go", Prefix + "boot/platform/volumes.go", "volumes"},
		{cfg.Trace, "libos/tracing.go", Prefix + "libos/tracing.go", "tracing"},
		{cfg.Diagnostics, "machine/diagnostics.go", "runtime/tailor_diagnostics.go", "tailorDiagnostics"},
	} {
		if s.wanted {
			if err := d.enable(s.file, s.to, s.constant); err != nil {
				return err
			}
		}
	}
	return nil
}

// link makes the standard library's package into import the guest's package
// pkg, whose full path it returns.
func (d *deriver) link(pkg, into string) (root string, err error) {
	root = tailor.Module + "/" + pkg
	to, _ := guestPath(root)
	text := "package " + path.Base(into) + "\n\nimport _ " + strconv.Quote(to) + "\n"
	return root, d.put(into+"/tailor_"+path.Base(pkg)+".go", []byte(text))
}

// fetchModules returns the modules that the guest packages use, by path,
// downloading and verifying what is missing.
func fetchModules(ctx context.Context, t Toolchain, dir string) (map[string]Module, error) {
	tmp := filepath.Join(dir, "module")
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := fs.ReadFile(tailor.Source, name)
		if err != nil {
			return nil, err
		}
		if err := writeFile(filepath.Join(tmp, name), data); err != nil {
			return nil, err
		}
	}
	args := append([]string{"mod", "download", "-json"}, guestModules...)
	cmd := exec.CommandContext(ctx, t.Go, args...)
	cmd.Dir = tmp
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=mod")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("download the modules that go into images: go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	modules := map[string]Module{}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for dec.More() {
		var m struct {
			Module
			Error string
		}
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		if m.Error != "" {
			return nil, fmt.Errorf("download %s: %s", m.Path, m.Error)
		}
		modules[m.Path] = m.Module
	}
	return modules, nil
}
