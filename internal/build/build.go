// Package build makes images and plain programs out of Go packages.
//
// It does so in two steps. [New] asks the user's own go command what the
// package is and returns a [Plan]: a list of actions as values, which
// describes itself (build -n, -v) and changes nothing. [Plan.Run] does what it
// says. The user's go.mod, go.sum and vendor folder are only read.
package build

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/tailor-os/tailor/internal/archive"
)

// The targets a package can be built for.
const (
	Unix   = "unix"   // a static Linux program
	HVT    = "hvt"    // a virtual machine under Tailor's own monitor
	SPT    = "spt"    // the same image as a process that can do nothing else
	Virtio = "virtio" // a virtual machine under any other one
)

// Targets lists the targets, the strongest first.
var Targets = []string{HVT, SPT, Virtio, Unix}

// textAddr is where the linker puts an image's text: one page above
// abi.ImageBase, which is left for the ELF header.
const textAddr = "0x111000"

// A Config says what to build and how.
type Config struct {
	Target string
	// Args is one package (a folder, an import path, path@version) or one or
	// more .go files.
	Args []string
	// Dir is the folder that Args are relative to, absolute.
	Dir string
	// Output is the file or folder to write, "" for a file in the cache.
	Output string
	// DefaultName asks for a file in Dir named after the package if Output
	// is "".
	DefaultName bool

	Tags    string // as go build -tags
	LDFlags string // as go build -ldflags, added to Tailor's own
	// Shares makes an image that sees the host's folders that it is started
	// with, as those of tests are.
	Shares bool

	// TraceCalls links the tracer of system calls, which `tailor run --trace
	// syscalls` turns on. It is for images only.
	TraceCalls bool

	// Format is one of Formats, for the target virtio only; "" is ELF.
	Format string
	// Params is the command line of a disk, which no hypervisor gives one.
	Params string

	// Volumes makes an image that mounts the volumes that it is started with; Needs
	// are the names of those without which it is not to start, and if Volumes is not
	// set, the only ones that it takes.
	Volumes bool
	Needs   []string
	// AnyDisk and Disks are the same for block devices that the program is shown.
	AnyDisk bool
	Disks   []string
	// LUKS makes an image that also takes volumes, or else disks, that are encrypted in
	// that format.
	LUKS bool

	// DHCP makes an image that finds the address of its network card, if it has a
	// network. Images for other monitors do so anyway.
	DHCP bool

	// Services are what is to be linked beside the program: names of [Services].
	Services []string

	// Files are the files and folders that go into the image.
	Files []archive.Mapping

	Tool     string // version of this tool, for the image's note
	CacheDir string // absolute; made when needed

	// Stderr gets the output of the go command, unmodified.
	Stderr io.Writer
	// Trace, if not nil, is told of each command or action before it is done.
	Trace func(line string)
}

// volumes reports whether the image is to see any.
func (c *Config) volumes() bool { return c.Volumes || len(c.Needs) > 0 || c.LUKS && !c.disks() }

// anyVolume reports whether it takes volumes that it does not need.
func (c *Config) anyVolume() bool { return c.Volumes || len(c.Needs) == 0 }

// disks reports whether the image is to show any.
func (c *Config) disks() bool { return c.AnyDisk || len(c.Disks) > 0 }

// DHCP is the name, in the notes of images, of what finds addresses.
const DHCP = "dhcp"

// dhcp reports whether the image is to find its address.
func (c *Config) dhcp() bool { return c.DHCP || c.Target == Virtio }

// A Result is what was built. Its JSON form is documented in docs/cli.md and
// only ever grows.
type Result struct {
	Image   string `json:"image"`            // absolute path
	Target  string `json:"target"`           // "hvt", "spt", "virtio" or "unix"
	Format  string `json:"format,omitempty"` // of a virtio image: "elf", "raw", "qcow2" or "iso"
	Arch    string `json:"arch"`             // GOARCH
	Go      string `json:"go"`               // Go release, "go1.26.8"
	Tailor  string `json:"tailor"`           // version of this tool
	ABI     uint32 `json:"abi"`              // version of the guest interface, 0 for unix
	Package string `json:"package"`          // import path of package main
	// Devices are what the image wants at boot, by type.
	Devices []string `json:"devices"`
	Bytes   int64    `json:"bytes"` // size of the file
}

// New finds out what cfg asks for and returns the plan for it. Packages named
// path@version are downloaded to Go's own module cache; nothing is compiled.
func New(ctx context.Context, cfg Config) (*Plan, error) {
	if err := checkEnv(os.Environ(), cfg.Target); err != nil {
		return nil, err
	}
	if err := checkFormat(cfg); err != nil {
		return nil, err
	}
	files, err := readFiles(cfg)
	if err != nil {
		return nil, err
	}
	g, err := findGo(cfg)
	if err != nil {
		return nil, err
	}
	src, err := resolve(ctx, g, cfg)
	if err != nil {
		return nil, err
	}
	env, err := g.env(ctx, src.dir, src.env)
	if err != nil {
		return nil, err
	}
	if err := checkGo(env, cfg); err != nil {
		return nil, err
	}
	flags, err := checkFlags(env.GOFLAGS, cfg)
	if err != nil {
		return nil, err
	}
	g.flags = flags
	info, err := g.list(ctx, src, cfg)
	if err != nil {
		return nil, err
	}
	p, err := makePlan(cfg, g, src, env, flags, info, files)
	if err != nil {
		return nil, err
	}
	p.source, err = hashSource(sourceFiles(info.all, &info.listed, env.GOMODCACHE))
	return p, err
}

// Build makes the plan for cfg and runs it.
func Build(ctx context.Context, cfg Config) (*Result, error) {
	p, err := New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return p.Run(ctx)
}

// ErrFailed is the error of a go command that has told the reason itself, on
// stderr.
var ErrFailed = errors.New("go build failed")

func abs(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
