// Package spt runs an image as a Linux process that can do nothing but its job:
// it computes in its own memory and makes the six system calls that package abi
// lists, checked by seccomp with their arguments. Its virtqueues are served as
// those of a virtual machine (package devices), from this process.
//
// The guest is not trusted: whatever it puts into its memory, nothing outside of
// it is read or written for it, and it is stopped with a message.
package spt

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hostfs"
	"github.com/tailor-os/tailor/internal/virtq"
)

// Run starts the image and returns the guest's exit status, 128 plus the number
// of the signal that ended it. An error means that the guest did not run or was
// stopped; the end of ctx stops it. note, if not nil, is told what the kernel did
// not allow of the walls around the guest that it can do without.
func Run(ctx context.Context, cfg guest.Config, note func(what string)) (status int, err error) {
	// The guest dies with the thread that made it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begin := time.Now()
	if cfg.Stats == nil {
		cfg.Stats = new(guest.Stats)
	}
	p, err := newProcess(&cfg)
	if err != nil {
		return 0, err
	}
	defer p.close()
	if err := p.launch(note); err != nil {
		return 0, err
	}
	cfg.Stats.Setup = p.begin.Sub(begin)
	p.timer.watch(p.child.pid)
	if err := p.ints.Start(p.timer, cfg.Stall, p.super.Nudge); err != nil {
		return 0, err
	}
	end := p.super.Start(ctx)
	defer end()
	status, err = p.loop()
	cfg.Finish(p.super.Control)
	return status, err
}

// A process is one guest.
type process struct {
	cfg    *guest.Config
	mem    *guest.Memory
	top    uint64 // end of the guest's memory
	sp     uint64
	table  []abi.Device
	clock  *guest.Clock
	bus    *devices.Bus
	shares []*hostfs.Server
	super  guest.Supervisor
	ints   guest.Interrupts
	timer  *runTimer

	mapped   []bool // by segment: the image's file is mapped there
	control  *abi.Control
	bell     int         // eventfd, the guest's
	look     atomic.Bool // there may be something to deliver
	injected unix.Signal // sent and not known to be taken
	seeded   bool        // the guest has seeded its generator
	child    child
	begin    time.Time // when it had everything it needs
	denied   error     // the system call that the guest was stopped for
}

func newProcess(cfg *guest.Config) (_ *process, err error) {
	if err := guest.Check(cfg); err != nil {
		return nil, err
	}
	if err := Check(); err != nil {
		return nil, err
	}
	p := &process{cfg: cfg, bell: -1, child: noChild}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	size := cfg.Memory &^ (guest.HugePage - 1)
	if need := max(guest.MinMemory, cfg.Image.End+1<<20); size < need {
		return nil, &guest.MemoryError{Have: cfg.Memory, Need: need}
	}
	if p.mem, err = guest.NewMemory(size, true); err != nil {
		return nil, err
	}
	if p.mem.Files, err = cfg.Image.MapFiles(); err != nil {
		return nil, err
	}
	p.top = size
	if p.sp, err = guest.WriteStack(p.mem.Mem, cfg); err != nil {
		return nil, err
	}
	p.mapImage()
	if p.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	return p, nil
}

// fill puts into memory what the guest finds when it starts, and devices behind
// its queues.
func (p *process) fill() (err error) {
	if err := p.loadImage(); err != nil {
		return err
	}
	if p.shares, err = guest.OpenShares(p.cfg.Shares); err != nil {
		return err
	}
	if p.table, err = guest.Layout(p.cfg); err != nil {
		return err
	}
	if err := guest.WriteBootInfo(p.mem, p.cfg, p.table, p.top, p.cfg.Image.End, abi.BootProcess); err != nil {
		return err
	}
	return p.attach()
}

// attach puts devices behind the queues of the table, and starts the clock.
func (p *process) attach() error {
	stack := virtq.Range{Start: abi.SignalStackLow, End: abi.SignalStackHigh, Writable: true}
	mem, err := guest.DeviceMemory(p.mem, p.cfg.Image, p.top, stack)
	if err != nil {
		return err
	}
	p.control = guest.At[abi.Control](p.mem, abi.ControlAddr)
	g := &sleeper{&p.control.Process}
	if p.bus, err = devices.NewBusFor(mem, g, &p.control.Process.Listen, p.super.Fail); err != nil {
		return err
	}
	p.timer = &runTimer{kick: p.super.Nudge}
	p.super = guest.Supervisor{Cfg: p.cfg, Ints: &p.ints, Control: p.control, Kick: p.kick, Wake: p.bus.Wake}
	if err := guest.Attach(p.bus, p.table, p.cfg, p.shares); err != nil {
		return err
	}
	if err := p.bus.Watch(p.bell, true, func() { p.cfg.Stats.Exits++ }); err != nil {
		return err
	}
	p.clock, err = newClock(guest.At[abi.Clock](p.mem, abi.ClockAddr))
	return err
}

// kick makes the loop look for what there is to deliver, or ends the guest if it
// is to be stopped.
func (p *process) kick() {
	if p.super.Stopped() {
		p.child.kill()
	}
	p.look.Store(true)
	p.bus.Kick()
}

func (p *process) close() {
	p.child.close()
	if p.timer != nil {
		p.timer.close()
	}
	if p.bus != nil {
		p.bus.Stop()
	}
	guest.CloseShares(p.shares)
	if p.bell >= 0 {
		unix.Close(p.bell)
	}
	if p.mem != nil {
		p.mem.Close()
	}
}

// loop serves the guest until it has ended.
func (p *process) loop() (status int, err error) {
	for !p.child.ended {
		if p.super.Stopped() {
			p.child.kill()
		}
		p.answer()
		if err := p.interrupt(); err != nil {
			p.super.End(0, err)
		}
		p.clock.Refresh()
		p.bus.Serve(-1)
	}
	ws, err := p.child.wait()
	if err != nil {
		return 0, err
	}
	if p.denied != nil {
		return sigsys, p.denied
	}
	if status, err, stopped := p.super.State(); stopped {
		return status, err
	}
	return ended(ws)
}

const sigsys = 128 + int(unix.SIGSYS)

// ended is how a guest has ended that was not stopped from here.
func ended(ws unix.WaitStatus) (status int, err error) {
	switch {
	case ws.Exited():
		return ws.ExitStatus(), nil
	case ws.Signal() == unix.SIGSYS:
		return sigsys, &guest.Error{What: "it made a system call that it must not make"}
	case ws.Signal() == unix.SIGKILL:
		return 128 + int(unix.SIGKILL), errors.New("the guest was killed from outside: by a user, or for want of memory on this machine")
	}
	return 128 + int(ws.Signal()), &guest.Error{What: fmt.Sprintf("%v, which its runtime could not handle", ws.Signal())}
}

// answer does what the guest has rung for.
func (p *process) answer() {
	bells := atomic.SwapUint64(&p.control.Process.Bells, 0)
	if bells == 0 {
		return
	}
	stats := p.cfg.Stats
	if !p.seeded {
		p.seeded = true // by now
		clear(guest.At[abi.BootInfo](p.mem, abi.BootAddr).Seed[:])
	}
	if bells&abi.BellBitIdle != 0 {
		stats.Idles++
	}
	for queues := bells &^ abi.BellBitIdle; queues != 0; queues &= queues - 1 {
		if stats.Notifies++; stats.Notifies == 1 {
			stats.FirstNotify = time.Since(p.begin)
		}
		p.bus.Notify(uint64(bits.TrailingZeros64(queues)))
	}
	if bells&abi.BellBitIdle != 0 {
		p.bus.Flush()
	}
}

// A sleeper is the guest as its devices see it.
type sleeper struct{ p *abi.Process }

// Wake wakes the guest.
func (s *sleeper) Wake() {
	if atomic.SwapUint32(&s.p.Park, abi.ParkToken) == abi.ParkAsleep {
		futexWake(&s.p.Park)
	}
}

// Asleep reports whether the guest sleeps and was not woken.
func (s *sleeper) Asleep() bool { return atomic.LoadUint32(&s.p.Park) == abi.ParkAsleep }

// WantIdle says whether the guest shall ring when it goes to sleep.
func (s *sleeper) WantIdle(want bool) {
	v := uint32(0)
	if want {
		v = 1
	}
	atomic.StoreUint32(&s.p.IdleBell, v)
}
