// Package monitor runs an image as a virtual machine under KVM.
//
// The guest's ring 3 is entered directly; the monitor has laid out everything
// it needs (package abi) and serves its virtqueues (package devices). The guest
// is not trusted: whatever it puts into its memory, the monitor reads and
// writes nothing outside it and stops the guest with a message.
package monitor

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/virtq"
)

var nativeEndian = binary.NativeEndian

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
	Net            *Net // nil: no network device

	// Shares are the host folders that the guest sees, and there are no others.
	// The image must have the "fs" device in its note.
	Shares []Share

	// Signals are handed to the guest, if it catches them; a second one ends
	// it at once, as does the first if it does not. It may be nil.
	Signals <-chan unix.Signal
	// Stall is how long the guest may run without reaching its event loop
	// before it prints a warning; zero is for ever.
	Stall time.Duration
	// Stats is filled in before Run returns, if not nil.
	Stats *Stats
}

// A Net is the guest's network device. FD is a packet descriptor: see
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

// Stats is what Run has seen.
type Stats struct {
	Exits       uint64        // VM exits
	Notifies    uint64        // of these, notifications of a virtqueue
	Idles       uint64        // of these, with nothing to do
	Setup       time.Duration // from the call of Run to the guest's first instruction
	FirstNotify time.Duration // from the guest's first instruction to its first notification, 0 if there was none
	Net         devices.NetStats
	OutOfMemory uint64 // bytes that the guest asked for last and did not get
}

// A guestError is something the guest did that ends it.
type guestError struct{ what string }

func (e *guestError) Error() string { return "the guest was stopped: " + e.what }

// ErrCanceled is what Run returns when its context ends it.
var ErrCanceled = context.Canceled

// Run boots the image and returns the guest's exit status, 128 plus the number
// of the signal that ended it. An error means that the guest did not run or was
// stopped; the end of ctx stops it.
func Run(ctx context.Context, cfg Config) (status int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := time.Now()
	if cfg.Stats == nil {
		cfg.Stats = new(Stats)
	}
	m, err := newMachine(&cfg)
	if err != nil {
		return 0, err
	}
	defer m.close()
	end := m.control(ctx)
	defer end()
	if err := m.startInterrupts(); err != nil {
		return 0, err
	}
	defer m.ints.timer.close()
	cfg.Stats.Setup = time.Since(begin)
	status, err = m.loop()
	if cfg.Net != nil {
		cfg.Stats.Net = cfg.Net.stats()
	}
	cfg.Stats.OutOfMemory = at[abi.Control](m.mem, abi.ControlAddr).OutOfMemory
	return status, err
}

// A machine is one guest.
type machine struct {
	cfg     *Config
	kvm, vm int
	mem     *guestMemory
	cpu     *vcpu
	clock   *guestClock
	bus     *devices.Bus
	shares  []*hostfs.Server
	stop    stopper
	ints    interrupts
}

func newMachine(cfg *Config) (_ *machine, err error) {
	if err := cmp.Or(checkNote(cfg.Image.Note), checkShares(cfg)); err != nil {
		return nil, err
	}
	m := &machine{cfg: cfg, kvm: -1, vm: -1}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.kvm, err = openKVM(); err != nil {
		return nil, err
	}
	size := cfg.Memory &^ (hugePage - 1)
	if size < MinMemory {
		return nil, &memoryError{cfg.Memory, MinMemory}
	}
	if m.mem, err = newGuestMemory(size); err != nil {
		return nil, err
	}
	if m.mem.files, err = cfg.Image.MapFiles(); err != nil {
		return nil, err
	}
	if m.vm, err = ioctl(m.kvm, "KVM_CREATE_VM", kvmCreateVM, 0); err != nil {
		return nil, err
	}
	for _, slot := range m.mem.slots() {
		// SAFETY: the request takes a struct kvm_userspace_memory_region.
		if err := ioctlPtr(m.vm, "KVM_SET_USER_MEMORY_REGION", kvmSetUserMemoryRegion, unsafe.Pointer(&slot)); err != nil {
			return nil, err
		}
	}
	if m.cpu, err = newVCPU(m.kvm, m.vm); err != nil {
		return nil, err
	}
	if m.shares, err = openShares(cfg.Shares); err != nil {
		return nil, err
	}
	table, err := layoutDevices(cfg)
	if err != nil {
		return nil, err
	}
	sp, cr3, err := load(m.mem, cfg, table)
	if err != nil {
		return nil, err
	}
	if err := m.cpu.setup(m.kvm, cfg.Image.Entry, sp, cr3); err != nil {
		return nil, err
	}
	if m.clock, err = newGuestClock(at[abi.Clock](m.mem, abi.ClockAddr), m.cpu.fd); err != nil {
		return nil, err
	}
	return m, m.attach(table, cr3)
}

// checkNote refuses an image that was made for something else.
func checkNote(n image.Note) error {
	return cmp.Or(image.CheckTarget(n, "hvt"), image.CheckABI(n), image.CheckDevices(n, "console", "net", "fs"))
}

// checkShares refuses shares that the image would not look at.
func checkShares(cfg *Config) error {
	sees := slices.ContainsFunc(cfg.Image.Note.Devices, func(d image.Device) bool { return d.Type == "fs" })
	if len(cfg.Shares) > 0 && !sees {
		return errors.New("the image was not built to see folders of the host")
	}
	return nil
}

// attach puts devices behind the queues of the table. They reach what the
// guest itself may reach, and no more: not its page tables, text or system
// pages.
func (m *machine) attach(table []abi.Device, memEnd uint64) error {
	ranges := []virtq.Range{
		{Start: abi.StackLow, End: abi.StackHigh, Writable: true},
		{Start: abi.RingAddr, End: abi.RingEnd, Writable: true},
	}
	for _, s := range m.cfg.Image.Segments {
		ranges = append(ranges, virtq.Range{Start: virtq.GPA(s.Vaddr), End: virtq.GPA(s.End()), Writable: s.Prot&image.ProtWrite != 0})
	}
	ranges = append(ranges, virtq.Range{Start: virtq.GPA(m.cfg.Image.End), End: virtq.GPA(memEnd), Writable: true})
	mem, err := virtq.NewMemory(m.mem.mem, ranges...)
	if files := m.mem.files; err == nil && files != nil {
		err = mem.AddReadOnly(virtq.GPA(m.mem.filesAddr()), files)
	}
	if err != nil {
		return err
	}
	if m.bus, err = devices.NewBus(mem, m.stop.fail); err != nil {
		return err
	}
	m.stop.cpu, m.stop.bus = m.cpu, m.bus
	return attachDevices(m.bus, table, m.cfg, m.shares)
}

func (m *machine) close() {
	if m.bus != nil {
		m.bus.Stop()
	}
	closeShares(m.shares)
	if m.cpu != nil {
		m.cpu.close()
	}
	for _, fd := range []int{m.vm, m.kvm} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if m.mem != nil {
		m.mem.close()
	}
}

// loop runs the guest until it ends.
func (m *machine) loop() (status int, err error) {
	stats := m.cfg.Stats
	begin := time.Now()
	for {
		if status, err, stopped := m.stop.state(); stopped {
			return status, err
		}
		e, err := m.cpu.enter()
		if err != nil {
			return 0, err
		}
		if stats.Exits++; stats.Exits == 1 {
			// The guest has seeded its generator by now.
			clear(at[abi.BootInfo](m.mem, abi.BootAddr).Seed[:])
		}
		if e.reason == exitIntr {
			if err := m.interrupted(); err != nil {
				return 0, err
			}
			continue
		}
		switch e.bell {
		case abi.BellExit:
			return int(e.value & 0xff), nil
		case abi.BellIdle:
			stats.Idles++
			m.idle(e.value)
		case abi.BellNotify:
			if stats.Notifies++; stats.Notifies == 1 {
				stats.FirstNotify = time.Since(begin)
			}
			m.bus.Notify(e.value)
		default:
			if err := m.rareBell(e); err != nil {
				return 0, err
			}
		}
		if m.ints.due() {
			m.cpu.interrupt()
		}
	}
}

// rareBell answers the doorbell registers that a guest seldom rings.
func (m *machine) rareBell(e exit) error {
	switch e.bell {
	case abi.BellProfile:
		return m.ints.profile(e.value)
	case abi.BellResume:
		m.ints.resume = true
		return nil
	case abi.BellTrap:
		f := at[abi.Control](m.mem, abi.ControlAddr).Trap
		return &guestError{fmt.Sprintf("exception %d at rip %#x, which its runtime could not handle", e.value, f.RIP)}
	}
	return &guestError{fmt.Sprintf("it rang doorbell register %#x, which does not exist", e.bell)}
}

// idle parks the vCPU until something happens or the guest's deadline passes.
func (m *machine) idle(deadline uint64) {
	m.clock.refresh()
	timeout := time.Duration(-1)
	if deadline != ^uint64(0) {
		if timeout = m.clock.until(deadline); timeout <= 0 {
			return
		}
	}
	m.bus.Idle(timeout)
}
