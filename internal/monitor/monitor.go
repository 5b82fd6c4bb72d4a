// Package monitor runs an image as a virtual machine under KVM.
//
// The guest's ring 3 is entered directly; the monitor has laid out everything
// it needs (package abi) and serves its virtqueues (package devices). The guest
// is not trusted: whatever it puts into its memory, the monitor reads and
// writes nothing outside it and stops the guest with a message.
package monitor

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hostfs"
)

var nativeEndian = binary.NativeEndian

// Run boots the image and returns the guest's exit status, 128 plus the number
// of the signal that ended it. An error means that the guest did not run or was
// stopped; the end of ctx stops it.
func Run(ctx context.Context, cfg guest.Config) (status int, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := time.Now()
	if cfg.Stats == nil {
		cfg.Stats = new(guest.Stats)
	}
	m, err := newMachine(&cfg)
	if err != nil {
		return 0, err
	}
	defer m.close()
	running, err := newTimer(unix.CLOCK_THREAD_CPUTIME_ID)
	if err != nil {
		return 0, err
	}
	defer running.close()
	if m.profile.timer, err = newTimer(unix.CLOCK_MONOTONIC); err != nil {
		return 0, err
	}
	defer m.profile.timer.close()
	if err := m.ints.Start(runTimer{running}, cfg.Stall, m.super.Nudge); err != nil {
		return 0, err
	}
	end := m.control(ctx)
	defer end()
	cfg.Stats.Setup = time.Since(begin)
	status, err = m.loop()
	cfg.Finish(m.super.Control)
	return status, err
}

// A machine is one guest.
type machine struct {
	cfg     *guest.Config
	kvm, vm int
	mem     *guest.Memory
	cpu     *vcpu
	clock   *guest.Clock
	bus     *devices.Bus
	shares  []*hostfs.Server
	super   guest.Supervisor
	ints    guest.Interrupts
	profile profile
	resume  bool // the guest has rung BellResume
}

func newMachine(cfg *guest.Config) (_ *machine, err error) {
	if err := guest.Check(cfg); err != nil {
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
	size := cfg.Memory &^ (guest.HugePage - 1)
	if size < guest.MinMemory {
		return nil, &guest.MemoryError{Have: cfg.Memory, Need: guest.MinMemory}
	}
	if m.mem, err = guest.NewMemory(size, false); err != nil {
		return nil, err
	}
	if m.mem.Files, err = cfg.Image.MapFiles(); err != nil {
		return nil, err
	}
	if m.vm, err = ioctl(m.kvm, "KVM_CREATE_VM", kvmCreateVM, 0); err != nil {
		return nil, err
	}
	for _, slot := range slots(m.mem) {
		// SAFETY: the request takes a struct kvm_userspace_memory_region.
		if err := ioctlPtr(m.vm, "KVM_SET_USER_MEMORY_REGION", kvmSetUserMemoryRegion, unsafe.Pointer(&slot)); err != nil {
			return nil, err
		}
	}
	if m.cpu, err = newVCPU(m.kvm, m.vm); err != nil {
		return nil, err
	}
	if m.shares, err = guest.OpenShares(cfg.Shares); err != nil {
		return nil, err
	}
	table, err := guest.Layout(cfg)
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
	if m.clock, err = newGuestClock(guest.At[abi.Clock](m.mem, abi.ClockAddr), m.cpu.fd); err != nil {
		return nil, err
	}
	m.super.Cfg, m.super.Ints, m.super.Control = cfg, &m.ints, guest.At[abi.Control](m.mem, abi.ControlAddr)
	return m, m.attach(table, cr3)
}

// attach puts devices behind the queues of the table.
func (m *machine) attach(table []abi.Device, memEnd uint64) error {
	mem, err := guest.DeviceMemory(m.mem, m.cfg.Image, memEnd)
	if err != nil {
		return err
	}
	if m.bus, err = devices.NewBus(mem, m.super.Fail); err != nil {
		return err
	}
	m.super.Wake = m.bus.Wake
	return guest.Attach(m.bus, table, m.cfg, m.shares)
}

func (m *machine) close() {
	if m.bus != nil {
		m.bus.Stop()
	}
	guest.CloseShares(m.shares)
	if m.cpu != nil {
		m.cpu.close()
	}
	for _, fd := range []int{m.vm, m.kvm} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	if m.mem != nil {
		m.mem.Close()
	}
}

// loop runs the guest until it ends.
func (m *machine) loop() (status int, err error) {
	stats := m.cfg.Stats
	begin := time.Now()
	for {
		if status, err, stopped := m.super.State(); stopped {
			return status, err
		}
		e, err := m.cpu.enter()
		if err != nil {
			return 0, err
		}
		if stats.Exits++; stats.Exits == 1 {
			// The guest has seeded its generator by now.
			clear(guest.At[abi.BootInfo](m.mem, abi.BootAddr).Seed[:])
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
			if m.profile.due() {
				m.profile.skip() // it slept
			}
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
		if m.resume || m.profile.due() {
			m.cpu.interrupt()
		}
	}
}

// rareBell answers the doorbell registers that a guest seldom rings.
func (m *machine) rareBell(e exit) error {
	switch e.bell {
	case abi.BellProfile:
		return m.profile.set(e.value, runTimer{}.Now())
	case abi.BellResume:
		m.resume = true
		return nil
	case abi.BellTrap:
		f := guest.At[abi.Control](m.mem, abi.ControlAddr).Trap
		return &guest.Error{What: fmt.Sprintf("exception %d at rip %#x, which its runtime could not handle", e.value, f.RIP)}
	}
	return &guest.Error{What: fmt.Sprintf("it rang doorbell register %#x, which does not exist", e.bell)}
}

// idle parks the vCPU until something happens or the guest's deadline passes. If
// that is over already, the guest has still left notifications for this moment.
func (m *machine) idle(deadline uint64) {
	m.clock.Refresh()
	timeout := time.Duration(-1)
	if deadline != ^uint64(0) {
		timeout = max(m.clock.Until(deadline), 0)
	}
	m.bus.Idle(timeout)
}
