package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// SAFETY: none. This file is a hostile guest: it forges pointers to the rings
// and to the doorbell, to see what the monitor makes of it.

// ring ATTACK DEVICE QUEUE: break a virtqueue, ring the doorbell, and say
// SURVIVED if that had no consequence.
func init() {
	register("ring", func(args []string) {
		r := openRing(args[1], number(args[2]))
		attack := ringAttacks[args[0]]
		checkf(attack != nil, "no attack %q", args[0])
		attack(r)
		// Queues that the monitor writes to it looks at when it has something
		// to write, in a thread of its own.
		for end := time.Now().Add(3 * time.Second); r.device != "console" && time.Now().Before(end); {
			provoke()
			attack(r) // again: the driver has put its own values back
		}
		time.Sleep(time.Second)
		fmt.Println("SURVIVED")
	})
	register("bell", func(args []string) {
		f := bellAttacks[args[0]]
		checkf(f != nil, "no attack %q", args[0])
		f()
		fmt.Println("SURVIVED")
	})
}

// provoke makes a packet come in: the refusal of a connection.
func provoke() {
	if c, err := net.DialTimeout("tcp", "10.0.2.2:1", 10*time.Millisecond); err == nil {
		c.Close()
	}
}

// at returns a pointer that no Go program should have.
func at[T any](addr uint64) *T { return *(**T)(unsafe.Pointer(&addr)) }

// openRing finds a queue in the device table.
func openRing(device string, queue int) *ring {
	info := at[abi.BootInfo](abi.BootAddr)
	for i := range uint64(info.NumDevices) {
		d := at[abi.Device](info.Devices + i*uint64(unsafe.Sizeof(abi.Device{})))
		if strings.TrimRight(string(d.Name[:]), "\x00") == device {
			return &ring{d.Queues[queue], info.MemEnd, device}
		}
	}
	check(fmt.Errorf("no device %q", device))
	return nil
}

type ring struct {
	abi.Queue
	memEnd uint64
	device string
}

type descriptor struct {
	addr        uint64
	len         uint32
	flags, next uint16
}

// Flags of a descriptor, virtio 1.2 section 2.7.5.
const (
	flagNext     = 1
	flagWrite    = 2
	flagIndirect = 4
)

func (r *ring) availIdx() *uint16 { return at[uint16](r.Avail + 2) }
func (r *ring) put(i uint32, d descriptor) {
	*at[descriptor](r.Desc + uint64(i)*16) = d
}

// offer makes head available and tells the monitor.
func (r *ring) offer(head uint16) {
	*at[uint16](r.Avail + 4 + 2*uint64(*r.availIdx()&uint16(r.Size-1))) = head
	*r.availIdx()++
	r.kick()
}

// heads makes all entries the same, those too that are on offer already.
func (r *ring) heads(head uint16) {
	for i := range uint64(r.Size) {
		*at[uint16](r.Avail + 4 + 2*i) = head
	}
	*r.availIdx()++
	r.kick()
}

func (r *ring) kick() { ringBell(abi.BellNotify, uint64(r.Notify)) }

// one offers a chain of one descriptor.
func (r *ring) one(d descriptor) {
	r.put(0, d)
	r.offer(0)
}

// ringBell rings the doorbell, or what a process has in its place: then it sleeps,
// which rings it, until the monitor has looked.
func ringBell(register, value uint64) {
	if at[abi.BootInfo](abi.BootAddr).Flags&abi.BootProcess == 0 {
		*at[uint64](abi.DoorbellAddr + register) = value
		return
	}
	p := &at[abi.Control](abi.ControlAddr).Process
	atomic.OrUint64(&p.Bells, 1<<(value%62))
	atomic.StoreUint32(&p.IdleBell, 1)
	time.Sleep(100 * time.Millisecond)
}

var buffer [4096]byte

func good() uint64 { return uint64(uintptr(unsafe.Pointer(&buffer))) }

// in and out are the directions of the queue that is attacked.
func dir(r *ring) (right, wrong uint16) {
	if os.Getenv("DIR") == "in" {
		return flagWrite, 0
	}
	return 0, flagWrite
}

var ringAttacks = map[string]func(*ring){
	"index-jump":  func(r *ring) { *r.availIdx() += uint16(r.Size) + 1; r.kick() },
	"index-back":  func(r *ring) { *r.availIdx() -= 1; r.kick() },
	"index-far":   func(r *ring) { *r.availIdx() += 0x8000; r.kick() },
	"head":        func(r *ring) { r.heads(uint16(r.Size)) },
	"head-max":    func(r *ring) { r.heads(0xffff) },
	"loop-self":   func(r *ring) { w, _ := dir(r); r.one(descriptor{good(), 1, w | flagNext, 0}) },
	"next":        func(r *ring) { w, _ := dir(r); r.one(descriptor{good(), 1, w | flagNext, 0xffff}) },
	"loop-two":    loopTwo,
	"zero-length": func(r *ring) { w, _ := dir(r); r.one(descriptor{good(), 0, w, 0}) },
	"indirect":    func(r *ring) { w, _ := dir(r); r.one(descriptor{good(), 16, w | flagIndirect, 0}) },
	"direction":   func(r *ring) { _, w := dir(r); r.one(descriptor{good(), 16, w, 0}) },
	"addr-null":   func(r *ring) { r.offerAddr(0, 16) },
	"addr-bell":   func(r *ring) { r.offerAddr(abi.DoorbellAddr, 16) },
	"addr-clock":  func(r *ring) { r.offerAddr(abi.ClockAddr, 16) },
	"addr-system": func(r *ring) { r.offerAddr(abi.SystemAddr, 16) },
	"addr-tables": func(r *ring) { r.offerAddr(r.memEnd, 16) },
	"addr-high":   func(r *ring) { r.offerAddr(1<<40, 16) },
	"addr-wrap":   func(r *ring) { r.offerAddr(^uint64(0)-7, 16) },
	"len-end":     func(r *ring) { r.offerAddr(r.memEnd-8, 16) },
	"len-max":     func(r *ring) { r.offerAddr(good(), 0xffffffff) },
	"text":        func(r *ring) { r.offerAddr(abi.ImageBase, 16) }, // for a queue that the device writes to
	"flip":        flip,
}

func (r *ring) offerAddr(addr uint64, n uint32) {
	w, _ := dir(r)
	r.one(descriptor{addr, n, w, 0})
}

func loopTwo(r *ring) {
	w, _ := dir(r)
	r.put(1, descriptor{good(), 1, w | flagNext, 0})
	r.one(descriptor{good(), 1, w | flagNext, 1})
}

// flip changes a descriptor between valid and not, while the monitor's I/O
// thread may be reading it.
func flip(r *ring) {
	w, _ := dir(r)
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); {
		for i := range uint64(500) {
			r.put(0, descriptor{good() ^ i<<33*(i&1), 16 << (i & 7), w, 0})
		}
		*at[uint16](r.Avail + 4 + 2*uint64(*r.availIdx()&uint16(r.Size-1))) = 0
		*r.availIdx()++
		r.kick()
	}
}

var bellAttacks = map[string]func(){
	"no-queue":     func() { ringBell(abi.BellNotify, 99) },
	"no-queue-max": func() { ringBell(abi.BellNotify, ^uint64(0)) },
	"register":     func() { ringBell(0x7f8, 1) },
	"misaligned":   func() { ringBell(4, 1) },
	"narrow":       func() { *at[uint32](abi.DoorbellAddr) = 1 },
	"byte":         func() { *at[byte](abi.DoorbellAddr + 0x10) = 1 },
	"read":         func() { fmt.Println(*at[uint64](abi.DoorbellAddr)) },
	"trap":         func() { ringBell(abi.BellTrap, 14) },
	"endless": func() {
		fmt.Println("ready")
		for {
			ringBell(abi.BellNotify, 1)
		}
	},
	"endless-idle": func() {
		fmt.Println("ready")
		for {
			ringBell(abi.BellIdle, 0)
		}
	},
	// Idle without a deadline, around the runtime and all that it waits for.
	"sleep": func() {
		fmt.Println("ready")
		for {
			ringBell(abi.BellIdle, ^uint64(0))
		}
	},
}
