package devices

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
)

// Figures of the network device; the first two were measured, see the
// benchmarks.
const (
	// spinTime is how long the I/O thread polls rings and descriptor after the
	// last packet. Sleeping costs two thread switches, about as much.
	spinTime = 50 * time.Microsecond
	// dozeTime is how long the I/O thread sleeps between two looks where guest
	// and monitor have one processor.
	dozeTime = 500 * time.Microsecond
	// bellGap and bellStreak: so many doorbells in a row, none longer after the
	// one before it, make the I/O thread take over.
	bellGap    = 100 * time.Microsecond
	bellStreak = 4
	// inlineTX and inlineRX are how many packets the vCPU thread moves itself
	// before the I/O thread takes over.
	inlineTX = 64
	inlineRX = 64
	// ioBatch is how many packets the I/O thread moves in one direction before
	// it looks at the other.
	ioBatch = 64
	// napTime is how long the I/O thread sleeps at a time while the guest is
	// short of buffers, and starvedTime how long it goes on doing so before it
	// asks the guest to ring when it posts some. A guest that is busy with what
	// it got posts them soon, and need not leave off to ring.
	napTime     = 100 * time.Microsecond
	starvedTime = 10 * time.Millisecond
	// stuckTime is how long the descriptor may refuse to take packets before
	// they are dropped.
	stuckTime = time.Second
	// maxPacket is the longest packet in bytes: header, Ethernet header with a
	// VLAN tag, and 64 KiB of payload.
	maxPacket = virtio.NetHdrLen + frameOverhead + 65535
	// minPacket is the shortest packet that is not dropped: both headers.
	minPacket = virtio.NetHdrLen + 14
	// frameOverhead is what an Ethernet frame has beyond its MTU.
	frameOverhead = 18
)

// netFeatures are what the device cannot do without.
const netFeatures = abi.FVersion1 | abi.FEventIdx | abi.NetFMrgRxBuf

// A Net moves packets between a network device's queues and one file
// descriptor. See the package comment for who does the work.
type Net struct {
	bus      *Bus
	name     string
	fd       int
	out      int // a duplicate of fd, to wait for room to send
	tx       transmitter
	rx       receiver
	io       *park
	stopping atomic.Bool
	solo     bool // guest and monitor share one processor
	done     chan struct{}

	// The vCPU thread's own.
	lastBell time.Time
	streak   int
	idleMark uint64 // packets received when the guest went idle

	stats netCounters
}

// NetStats counts what a network device did since its start.
type NetStats struct {
	TxPackets, TxDropped uint64
	RxPackets, RxDropped uint64
	Bells                uint64 // notifications by the guest, each a VM exit
	Handovers            uint64 // times the vCPU thread called in the I/O thread
	Sleeps               uint64 // times the I/O thread went to sleep
	Wakes                uint64 // times the guest asked to be woken
}

// Add adds what another device did.
func (s *NetStats) Add(o NetStats) {
	s.TxPackets += o.TxPackets
	s.TxDropped += o.TxDropped
	s.RxPackets += o.RxPackets
	s.RxDropped += o.RxDropped
	s.Bells += o.Bells
	s.Handovers += o.Handovers
	s.Sleeps += o.Sleeps
	s.Wakes += o.Wakes
}

type netCounters struct {
	txPackets, txDropped, rxPackets, rxDropped, bells, handovers, sleeps, wakes atomic.Uint64
}

// The I/O thread's park tells these apart.
const (
	tagIn = iota
	tagOut
)

// AddNet adds a network device that exchanges packets with fd: a tap, or a
// SOCK_SEQPACKET socket. Each packet is preceded by the 12-byte header of
// virtio 1.2 section 5.1.6 on both sides. fd is made non-blocking; it stays the
// caller's and must stay open until [Bus.Stop].
//
// A packet that fd refuses is dropped and counted. If fd has no room for it, as
// a socket has whose reader is slow, it waits in the ring;
// once that has lasted a second, packets are dropped until one is taken.
func (b *Bus) AddNet(d *abi.Device, fd int) (*Net, error) {
	if err := need(d, abi.DeviceNet, 2, netFeatures); err != nil {
		return nil, err
	}
	n := &Net{bus: b, name: deviceName(d), fd: fd, out: -1, done: make(chan struct{})}
	rx, err := b.queue(d, abi.NetQueueRX, virtq.In, "receive", n.rxBell)
	if err != nil {
		return nil, err
	}
	tx, err := b.queue(d, abi.NetQueueTX, virtq.Out, "transmit", n.txBell)
	if err != nil {
		return nil, err
	}
	n.tx.q = tx
	n.solo = oneProcessor()
	b.wantIdle(n.solo)
	rx.Quiet() // a guest that posts buffers need not say so until we are out of them
	n.rx.init(rx, rxNeed(d))
	if err := n.open(); err != nil {
		n.release()
		return nil, fmt.Errorf("devices: %s: %w", n.name, err)
	}
	b.stops = append(b.stops, n.stop)
	go n.run()
	return n, nil
}

// rxNeed returns the length in bytes of the longest packet that may arrive.
func rxNeed(d *abi.Device) int {
	mtu := int(binary.LittleEndian.Uint16(d.Config[netConfigMTU:]))
	tso := d.Features&(abi.NetFGuestTSO4|abi.NetFGuestTSO6) != 0
	if tso || d.Features&abi.NetFMTU == 0 {
		return maxPacket
	}
	return virtio.NetHdrLen + frameOverhead + mtu
}

// open registers the descriptor with both threads, the vCPU's first: events go
// to the first in line that is waiting.
func (n *Net) open() (err error) {
	if err = unix.SetNonblock(n.fd, true); err != nil {
		return fmt.Errorf("file descriptor %d: %w", n.fd, err)
	}
	if n.io, err = newPark(); err != nil {
		return err
	}
	if err = n.bus.watch(n.fd, n); err != nil {
		return err
	}
	if err = n.io.watch(n.fd, unix.EPOLLIN|unix.EPOLLET|unix.EPOLLEXCLUSIVE, tagIn); err != nil {
		return err
	}
	if n.out, err = unix.FcntlInt(uintptr(n.fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return fmt.Errorf("duplicate file descriptor %d: %w", n.fd, err)
	}
	return n.io.watch(n.out, unix.EPOLLONESHOT, tagOut)
}

func (n *Net) release() {
	if n.io != nil {
		n.io.close()
	}
	if n.out >= 0 {
		unix.Close(n.out)
	}
}

// stop ends the I/O thread. What a guest that has ended of itself has left in the
// ring is still sent: it may be the end of an answer.
func (n *Net) stop() {
	n.stopping.Store(true)
	n.io.wake()
	<-n.done
	if errors.Is(n.bus.Err(), ErrStopped) {
		n.transmit(math.MaxInt)
	}
	n.release()
}

// Stats returns the device's counters. It may be called by any goroutine.
func (n *Net) Stats() NetStats {
	c := &n.stats
	return NetStats{
		TxPackets: c.txPackets.Load(), TxDropped: c.txDropped.Load(),
		RxPackets: c.rxPackets.Load(), RxDropped: c.rxDropped.Load(),
		Bells: c.bells.Load(), Handovers: c.handovers.Load(),
		Sleeps: c.sleeps.Load(), Wakes: c.wakes.Load(),
	}
}

// wake wakes the guest, which asked for it.
func (n *Net) wake() {
	n.stats.wakes.Add(1)
	n.bus.Wake()
}

// fail is what a broken ring leads to.
func (n *Net) fail(err error) {
	n.stopping.Store(true)
	n.bus.Fail(err)
}

// The vCPU thread's side.

// txBell is rung when the guest has packets and notifications were on.
func (n *Net) txBell() (more bool) {
	n.stats.bells.Add(1)
	now := time.Now()
	if now.Sub(n.lastBell) < bellGap {
		n.streak++
	} else {
		n.streak = 0
	}
	n.lastBell = now
	if n.transmit(inlineTX) >= inlineTX || n.streak >= bellStreak {
		n.streak = 0
		n.handover()
	}
	return false
}

// rxBell is rung when the guest has posted buffers that we were out of.
func (n *Net) rxBell() (more bool) {
	n.stats.bells.Add(1)
	if n.receive(inlineRX) >= inlineRX || n.rx.starved.Load() {
		n.handover()
	}
	return false
}

// flush and ready make Net a poller. The guest is idle when they are called.
func (n *Net) flush() {
	if n.transmit(inlineTX) >= inlineTX {
		n.handover()
	}
	n.idleMark = n.stats.rxPackets.Load()
	if n.rx.starved.Load() {
		n.receiveIdle()
	}
}

func (n *Net) ready(uint32) { n.receiveIdle() }

// receiveIdle receives for an idle guest. If that has got nothing since it went
// idle, it has posted all the buffers it is going to: they must do.
func (n *Net) receiveIdle() {
	got := n.receive(inlineRX)
	if n.rx.starved.Load() && !n.bus.woken() {
		n.rx.enough.Store(n.idleMark + 1)
		got += n.receive(inlineRX)
		n.rx.enough.Store(0)
	}
	if got >= inlineRX {
		n.handover()
	}
}

// handover makes the I/O thread poll. Any thread may call it.
func (n *Net) handover() {
	n.rx.polled.Store(true)
	if !n.tx.polled.Swap(true) {
		n.stats.handovers.Add(1)
	}
	n.io.wake()
}

// The I/O thread's side.

// run is the I/O thread.
func (n *Net) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(n.done)
	for !n.stopping.Load() {
		n.sleep(n.tx.patience())
		n.poll()
	}
}

// sleep waits for something to do.
func (n *Net) sleep(timeout time.Duration) {
	n.stats.sleeps.Add(1)
	for _, ev := range n.io.wait(timeout) {
		if ev.Fd == tagOut {
			n.tx.room.Store(true)
		}
	}
}

// poll moves packets until there have been none for a while, then turns
// notifications on. Packets that come meanwhile are found by the last look.
func (n *Net) poll() {
	for !n.stopping.Load() {
		n.tx.polled.Store(true)
		n.rx.polled.Store(true)
		n.spin()
		if n.nap() {
			continue
		}
		// These calls turn notifications on. If the vCPU thread has the turn,
		// it does, since it goes around once more.
		n.rx.polled.Store(false)
		found := n.receive(ioBatch)
		if n.tx.waits() {
			// More packets of the guest would not help: they stay unnoticed.
			n.waitRoom()
		} else {
			n.tx.polled.Store(false)
			found += n.transmit(ioBatch)
		}
		if found == 0 {
			return
		}
	}
}

// spin polls until nothing has happened for spinTime.
func (n *Net) spin() {
	patience := spinTime
	if n.solo {
		patience = 4 * dozeTime
	}
	last := time.Now()
	for !n.stopping.Load() {
		moved := n.transmit(ioBatch) + n.receive(ioBatch)
		switch {
		case n.solo:
			n.doze()
		case moved == 0:
			// Whoever else wants this processor may have it.
			unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
		if now := time.Now(); moved > 0 {
			last = now
		} else if now.Sub(last) > patience || n.tx.waits() {
			return
		}
	}
}

// doze leaves the one processor to the guest, which tells what it has when it
// goes idle.
func (n *Net) doze() {
	ts := unix.NsecToTimespec(int64(dozeTime))
	rawNanosleep(&ts)
}

// nap waits for a guest that is short of buffers, and reports whether things go
// on. If not, the guest is woken, for it might be idle: when it goes idle again,
// the packet that waits for buffers is delivered or dropped.
func (n *Net) nap() bool {
	for begin := time.Now(); n.rx.starved.Load() && !n.stopping.Load(); {
		n.sleep(napTime)
		if n.transmit(ioBatch)+n.receive(ioBatch) > 0 {
			return true
		}
		if time.Since(begin) > starvedTime {
			n.bus.Wake()
			break
		}
	}
	return false
}

// waitRoom has the next wait report when fd has room again.
func (n *Net) waitRoom() {
	ev := unix.EpollEvent{Events: unix.EPOLLOUT | unix.EPOLLONESHOT, Fd: tagOut}
	if err := unix.EpollCtl(n.io.ep, unix.EPOLL_CTL_MOD, n.out, &ev); err != nil {
		n.fail(fmt.Errorf("devices: %s: wait for room to send: %w", n.name, err))
	}
}

// oneProcessor reports whether this process may use one processor only. Tests
// replace it.
var oneProcessor = func() bool {
	var set unix.CPUSet
	return unix.SchedGetaffinity(0, &set) == nil && set.Count() == 1
}
