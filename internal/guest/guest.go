// Package guest is what every starter of an image has in common, be it a virtual
// machine or a process: what to run, guest memory and what is written there for
// the guest to find, its devices, its clock, signals and interrupts.
//
// Nothing that the guest writes is believed.
package guest

import (
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/virtq"
)

// Config says what to run and how.
type Config struct {
	Image   *image.Image
	Args    []string // argv; Args[0] is the program's name
	Env     []string // "K=V"
	Memory  uint64   // bytes, rounded down to 2 MiB
	Params  string   // the system's boot parameters, "ip=... gw=..."
	Verbose bool     // the guest reports what it does not support

	Stdin          *os.File // nil: at its end
	Stdout, Stderr io.Writer
	Nets           []*Net // network devices, eth0 first

	// Shares are the host folders that the guest sees, and there are no others.
	// The image must have the "fs" device in its note.
	Shares []Share

	// Volumes are the block devices of the guest. The image must have the "block"
	// device in its note.
	Volumes []Volume

	// Signals are handed to the guest, if it catches them; a second one ends
	// it at once, as does the first if it does not. It may be nil.
	Signals <-chan unix.Signal
	// Stall is how long the guest may run without reaching its event loop
	// before it prints a warning; zero is for ever.
	Stall time.Duration
	// Stats is filled in before Run returns, if not nil.
	Stats *Stats
}

// A Net is a network device of the guest's. FD is a packet descriptor: see
// devices.NetConfig. It stays open.
type Net struct {
	FD  int
	MAC [6]byte
	MTU uint16 // bytes

	stats func() devices.NetStats
}

// A Share is a folder of the host and where the guest sees it. A later one may
// be mounted inside an earlier one, on a directory that is there.
type Share struct {
	hostfs.Share
	Path string // in the guest, absolute; made there if it is missing
	// Overlay makes a share that the host keeps read-only look writable: what
	// the guest changes stays in the guest's memory. Mode must be ReadOnly.
	Overlay bool
}

// A Volume is a block device, and where the guest mounts what is on it.
type Volume struct {
	Name     string // of the device, at most 20 bytes
	Disk     devices.Disk
	Path     string // in the guest, absolute; "" if it is not mounted
	Raw      bool   // the program is shown the device itself
	ReadOnly bool
}

// Stats is what Run has seen.
type Stats struct {
	Exits       uint64           // VM exits, or wake-ups of the monitor by a process
	Notifies    uint64           // of these, notifications of a virtqueue
	Idles       uint64           // of these, with nothing to do
	Setup       time.Duration    // from the call of Run to the guest's first instruction
	FirstNotify time.Duration    // from the guest's first instruction to its first notification, 0 if there was none
	Net         devices.NetStats // of all network devices
	OutOfMemory uint64           // bytes that the guest asked for last and did not get
}

// An Error is something the guest did that ends it.
type Error struct{ What string }

func (e *Error) Error() string { return "the guest was stopped: " + e.What }

// Finish fills in what of the statistics is known at the end only.
func (cfg *Config) Finish(ctl *abi.Control) {
	for _, n := range cfg.Nets {
		if n.stats != nil {
			cfg.Stats.Net.Add(n.stats())
		}
	}
	cfg.Stats.OutOfMemory = ctl.OutOfMemory
}

// Check refuses an image that was made for something else, and shares that it
// would not look at.
func Check(cfg *Config) error {
	n := cfg.Image.Note
	return cmp.Or(image.CheckTarget(n, "hvt", "spt"), image.CheckABI(n), image.CheckDevices(n, "console", "net", "fs", "block", "disk"), checkShares(cfg), CheckVolumes(n, cfg.Volumes))
}

// checkShares refuses shares that the image would not look at.
func checkShares(cfg *Config) error {
	sees := slices.ContainsFunc(cfg.Image.Note.Devices, func(d image.Device) bool { return d.Type == "fs" })
	if len(cfg.Shares) > 0 && !sees {
		return errors.New("the image was not built to see folders of the host")
	}
	return nil
}

// DeviceMemory is what devices may reach of the guest's memory: what the guest
// itself may reach below memEnd, and no more: not its page tables, text or system
// pages, but for the ranges in more.
func DeviceMemory(m *Memory, img *image.Image, memEnd uint64, more ...virtq.Range) (*virtq.Memory, error) {
	ranges := append(more,
		virtq.Range{Start: abi.StackLow, End: abi.StackHigh, Writable: true},
		virtq.Range{Start: abi.RingAddr, End: abi.RingEnd, Writable: true},
	)
	for _, s := range img.Segments {
		ranges = append(ranges, virtq.Range{Start: virtq.GPA(s.Vaddr), End: virtq.GPA(s.End()), Writable: s.Prot&image.ProtWrite != 0})
	}
	ranges = append(ranges, virtq.Range{Start: virtq.GPA(img.End), End: virtq.GPA(memEnd), Writable: true})
	mem, err := virtq.NewMemory(m.Mem, ranges...)
	if err == nil && m.Files != nil {
		err = mem.AddReadOnly(virtq.GPA(m.FilesAddr()), m.Files)
	}
	return mem, err
}
