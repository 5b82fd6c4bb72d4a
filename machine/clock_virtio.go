//go:build tailoros && tailorvirtio

package runtime

import (
	"Tailor/abi"
	"unsafe"
)

// The clock page, which the guest writes itself here, and the timer. Where KVM
// offers its clock, that says how the time stamp counter runs and what time it
// is; otherwise the counter is compared with the local APIC's timer, and the time
// is that of the battery-backed clock.

// tailorTimerMult is how many counts the local APIC's timer makes a nanosecond,
// 32.32 fixed point. Under KVM and QEMU it is one.
var tailorTimerMult uint64 = 1 << 32

//go:nosplit
func tailorTimerCounts(ns int64) uintptr {
	const most = 1 << 31 // longer waits end early
	n := uint64(min(ns, most)) * (tailorTimerMult >> 16) >> 16
	return uintptr(max(n, 1))
}

func tailorClockPage() *abi.Clock {
	return (*abi.Clock)(unsafe.Pointer(uintptr(abi.ClockAddr))) // SAFETY: the contract's address
}

// tailorKVMTime and tailorKVMWall are struct pvclock_vcpu_time_info and struct
// pvclock_wall_clock (Linux's Documentation/virt/kvm/x86/msr.rst).
type tailorKVMTime struct {
	version   uint32
	_         uint32
	tsc       uint64
	system    uint64 // nanoseconds, at tsc
	mul       uint32
	shift     int8
	flags, _1 uint8
	_2        uint8
}

type tailorKVMWall struct{ version, sec, nsec uint32 }

const (
	tailorKVMTimeAddr = abi.ClockAddr + 0x400
	tailorKVMWallAddr = abi.ClockAddr + 0x440
)

// tailorHypervisor returns the hypervisor's signature, "" if it has none.
func tailorHypervisor() (sig [12]byte) {
	if _, _, c, _ := tailorCPUID(1, 0); c>>31 == 0 {
		return sig
	}
	_, b, c, d := tailorCPUID(0x40000000, 0)
	for i, v := range [3]uint32{b, c, d} {
		for k := range 4 {
			sig[4*i+k] = byte(v >> (8 * k))
		}
	}
	return sig
}

func tailorIs(sig [12]byte, name string) bool { return string(sig[:len(name)]) == name }

// tailorClockInit sets the clock. Monotonic time begins at one nanosecond, since
// zero means "not set" to the runtime.
func tailorClockInit() {
	page := tailorClockPage()
	page.MonoBase = 1
	tailorHasBattery = tailor_openPorts(0x70, 2)
	tailorClockFind(page)
	tailorNominal = page.Mult
}

func tailorClockFind(page *abi.Clock) {
	sig := tailorHypervisor()
	if tailorIs(sig, "KVMKVMKVM") && tailorKVMClock(page) {
		return
	}
	known := tailorIs(sig, "KVMKVMKVM") || tailorIs(sig, "TCGTCGTCGTCG")
	page.Mult = tailorMeasure(known)
	page.TSCBase = tailorTSC()
	page.WallOffset = tailorBattery()*1e9 - page.MonoBase
}

// tailorKVMClock sets the clock by KVM's.
func tailorKVMClock(page *abi.Clock) bool {
	const clocksource2 = 1 << 3
	if a, _, _, _ := tailorCPUID(0x40000001, 0); a&clocksource2 == 0 {
		return false
	}
	for i, addr := range [2]uintptr{tailorKVMTimeAddr, tailorKVMWallAddr} {
		if r, _ := tailorService(abi.ServiceClock, uintptr(i), addr, 0); r != 0 {
			return false
		}
	}
	// SAFETY: KVM's clocks are in the clock page, behind ours.
	t := (*tailorKVMTime)(unsafe.Pointer(uintptr(tailorKVMTimeAddr)))
	w := (*tailorKVMWall)(unsafe.Pointer(uintptr(tailorKVMWallAddr)))
	if t.version == 0 || t.version&1 != 0 || t.mul == 0 || w.version&1 != 0 || w.sec == 0 || t.shift < -32 || t.shift > 31 {
		return false
	}
	if t.shift >= 0 {
		page.Mult = uint64(t.mul) << t.shift
	} else {
		page.Mult = uint64(t.mul) >> -t.shift
	}
	page.TSCBase = tailorTSC()
	since := int64(0)
	if page.TSCBase > t.tsc {
		hi, lo := tailorMul(page.TSCBase-t.tsc, page.Mult)
		since = int64(hi<<32 | lo>>32)
	}
	page.WallOffset = int64(w.sec)*1e9 + int64(w.nsec) + int64(t.system) + since - page.MonoBase
	return true
}

// tailorNominal is Clock.Mult as it was found when the machine started.
var tailorNominal uint64

// tailorClockAdjust is tailor_clockAdjust. Monotonic time goes on from where it is.
//
//go:nosplit
//go:nowritebarrierrec
func tailorClockAdjust(step, rate int64) uintptr {
	page := tailorClockPage()
	tsc := max(tailorTSC(), page.TSCBase)
	hi, lo := tailorMul(tsc-page.TSCBase, page.Mult)
	page.Seq++ // nobody looks: interrupts wait
	page.TSCBase = tsc
	page.MonoBase += int64(hi<<32 | lo>>32)
	page.WallOffset += step
	page.Mult = tailorNominal + uint64(int64(tailorNominal)*rate/1e9)
	page.Seq++
	return 0
}

//go:nosplit
func tailorMul(a, b uint64) (hi, lo uint64) {
	const mask = 1<<32 - 1
	a0, a1, b0, b1 := a&mask, a>>32, b&mask, b>>32
	w0 := a0 * b0
	t := a1*b0 + w0>>32
	w1 := t&mask + a0*b1
	return a1*b1 + t>>32 + w1>>32, a * b
}

// tailorMeasure returns how many nanoseconds a count of the time stamp counter
// is, 32.32 fixed point. known says that the local APIC's timer counts
// nanoseconds, as KVM's and QEMU's do.
func tailorMeasure(known bool) uint64 {
	const counts = 500e3
	tsc, n := tailorService(abi.ServiceCalibrate, counts, 0, 0)
	best := uint64(n) << 32 / max(uint64(tsc), 1)
	if known {
		return best
	}
	mult := tailorMeasurePIT()
	if mult == 0 {
		return best
	}
	tailorTimerMult = best << 16 / (mult >> 16)
	return mult
}

// tailorMeasurePIT compares the time stamp counter with channel 2 of the 8254
// timer, which counts down 1,193,182 times a second; 0 if there is none.
func tailorMeasurePIT() uint64 {
	const (
		data, command, gate = 0x42, 0x43, 0x61

		counts = 11932 // 10 ms
		ns     = uint64(counts) * 1e9 / 1193182
	)
	if !tailor_openPorts(data, 2) || !tailor_openPorts(gate, 1) {
		return 0
	}
	tailor_out8(gate, tailor_in8(gate)&^2|1) // speaker off, gate on
	tailor_out8(command, 0xb0)               // channel 2, both bytes, mode 0
	tailor_out8(data, counts&0xff)
	tailor_out8(data, counts>>8)
	begin := tailorTSC()
	for i := 0; tailor_in8(gate)&0x20 == 0; i++ {
		if i == 1e6 {
			return 0
		}
	}
	return ns << 32 / max(tailorTSC()-begin, 1)
}

// tailorHasBattery says that its ports are open.
var tailorHasBattery bool

// tailorBattery returns the seconds since 1970 that the machine's clock
// shows, 0 if it has none. It is read until it shows the same twice, because it
// may be about to change.
func tailorBattery() int64 {
	if !tailorHasBattery {
		return 0
	}
	last := tailorReadBattery()
	for range 10 {
		now := tailorReadBattery()
		if now == last {
			return tailorUnix(now)
		}
		last = now
	}
	return 0
}

// tailorReadBattery returns second, minute, hour, day, month and year.
func tailorReadBattery() (t [6]int64) {
	read := func(reg uint8) int64 {
		tailor_out8(0x70, reg)
		return int64(tailor_in8(0x71))
	}
	for i := 0; i < 100000; i++ {
		if a := read(0x0a); a == 0xff { // nothing is there
			return t
		} else if a&0x80 == 0 { // not being changed
			break
		}
	}
	for i, reg := range [6]uint8{0, 2, 4, 7, 8, 9} {
		t[i] = read(reg)
	}
	status := read(0x0b)
	pm := t[2]&0x80 != 0
	t[2] &^= 0x80
	if status&4 == 0 { // binary-coded decimal
		for i := range t {
			t[i] = t[i]>>4*10 + t[i]&15
		}
	}
	if status&2 == 0 { // of twelve hours
		t[2] %= 12
		if pm {
			t[2] += 12
		}
	}
	return t
}

// tailorUnix counts the seconds since 1970. The clock has no century: this is
// the one there is.
func tailorUnix(t [6]int64) int64 {
	y, m := 2000+t[5], t[4]
	if m < 1 || m > 12 || t[3] < 1 || t[3] > 31 {
		return 0
	}
	if m <= 2 {
		y--
		m += 12
	}
	days := 365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + t[3] - 1 - 719468
	return ((days*24+t[2])*60+t[1])*60 + t[0]
}
