// Package monitor runs an image as a virtual machine under KVM.
//
// The guest's ring 3 is entered directly; the monitor has laid out everything
// it needs (package abi) and serves its virtqueues. The guest is not trusted:
// whatever it puts into its memory, the monitor reads and writes nothing
// outside it and stops the guest with a message.
package monitor

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/image"
)

var nativeEndian = binary.NativeEndian

// Config says what to run and how.
type Config struct {
	Image   *image.Image
	Args    []string // argv, Args[0] is the program's name
	Env     []string // "K=V"
	Memory  uint64   // bytes
	Params  string   // the system's boot parameters, "ip=... gw=..."
	Verbose bool

	Stdin          io.Reader // nil: end of file
	Stdout, Stderr io.Writer
}

// A guestError is something the guest did that ends it.
type guestError struct{ what string }

func (e *guestError) Error() string { return "the guest was stopped: " + e.what }

// Run boots the image and returns the guest's exit status. An error means that
// the guest did not run or was stopped; ctx ends it.
func Run(ctx context.Context, cfg Config) (status int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	vm, err := newMachine(&cfg)
	if err != nil {
		return 0, err
	}
	defer vm.close()
	return vm.loop(ctx)
}

// A machine is one guest.
type machine struct {
	cfg   *Config
	kvm   int
	vm    int
	mem   *guestMemory
	cpu   *vcpu
	clock *guestClock
	exits int
	devs  []abi.Device
}

func newMachine(cfg *Config) (_ *machine, err error) {
	m := &machine{cfg: cfg, kvm: -1, vm: -1}
	defer func() {
		if err != nil {
			m.close()
		}
	}()
	if m.kvm, err = openKVM(); err != nil {
		return nil, err
	}
	if m.vm, err = ioctl(m.kvm, "KVM_CREATE_VM", kvmCreateVM, 0); err != nil {
		return nil, err
	}
	if m.mem, err = newGuestMemory(cfg.Memory); err != nil {
		return nil, err
	}
	for _, slot := range m.mem.slots() {
		if err := ioctlPtr(m.vm, "KVM_SET_USER_MEMORY_REGION", kvmSetUserMemoryRegion, unsafe.Pointer(&slot)); err != nil {
			return nil, err
		}
	}
	if m.cpu, err = newVCPU(m.kvm, m.vm); err != nil {
		return nil, err
	}
	m.devs = []abi.Device{{Type: abi.DeviceConsole, NumQueues: 3}}
	for i := range 3 {
		b := uint64(abi.RingAddr + i*0x1000)
		m.devs[0].Queues[i] = abi.Queue{Desc: b, Avail: b + 0x400, Used: b + 0x800, Size: 16, Notify: uint32(i)}
	}
	sp, cr3, err := load(m.mem, cfg.Image, cfg, m.devs)
	if err != nil {
		return nil, err
	}
	if err := m.cpu.setup(m.kvm, cfg.Image.Entry, sp, cr3); err != nil {
		return nil, err
	}
	m.clock, err = newGuestClock(at[abi.Clock](m.mem, abi.ClockAddr), m.cpu.fd)
	return m, err
}

func (m *machine) close() {
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

func (m *machine) loop(ctx context.Context) (int, error) {
	for {
		e, err := m.cpu.enter()
		if err != nil {
			return 0, err
		}
		m.exits++
		if e.reason == exitIntr {
			continue
		}
		switch e.bell {
		case abi.BellExit:
			if os.Getenv("TAILOR_STATS") != "" {
				fmt.Fprintln(os.Stderr, "exits", m.exits)
			}
			return int(e.value & 0xff), nil
		case abi.BellIdle:
			d := m.clock.until(e.value)
			if e.value == ^uint64(0) {
				d = 1e18
			}
			if d > 0 {
				ts := unix.NsecToTimespec(int64(d))
				unix.Nanosleep(&ts, nil)
			}
		case abi.BellNotify:
			m.drain(int(e.value))
		case abi.BellTrap:
			f := at[abi.Control](m.mem, abi.ControlAddr).Trap
			return 0, &guestError{fmt.Sprintf("exception %d at %#x that its runtime could not handle", e.value, f.RIP)}
		}
	}
}

func (m *machine) drain(q int) {
	d := m.devs[0].Queues[q]
	desc := m.mem.mem[d.Desc:]
	addr := nativeEndian.Uint64(desc)
	n := nativeEndian.Uint32(desc[8:])
	m.cfg.Stdout.Write(m.mem.mem[addr : addr+uint64(n)])
	idx := nativeEndian.Uint16(m.mem.mem[d.Used+2:])
	nativeEndian.PutUint16(m.mem.mem[d.Used+2:], idx+1)
}
