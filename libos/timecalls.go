package libos

import "unsafe"

// Clocks (include/uapi/linux/time.h).
const (
	clockRealtime       = 0
	clockMonotonic      = 1
	clockProcessCPU     = 2
	clockThreadCPU      = 3
	clockMonotonicRaw   = 4
	clockRealtimeCoarse = 5
	clockMonoCoarse     = 6
	clockBoottime       = 7
	clockTAI            = 11
)

// readClock returns the time of a clock in nanoseconds.
func readClock(id int) (int64, Errno) {
	switch id {
	case clockRealtime, clockRealtimeCoarse, clockTAI:
		return Hooks.WallNow(), 0
	case clockMonotonic, clockMonotonicRaw, clockMonoCoarse, clockBoottime:
		return Hooks.Now(), 0
	case clockProcessCPU, clockThreadCPU:
		return cpuTime(), 0
	}
	return 0, EINVAL
}

func sysClockGettime(a args) (uintptr, Errno) {
	ns, errno := readClock(a.int(0))
	if errno != 0 {
		return 0, errno
	}
	return 0, put(a.p[1], timeOf(ns))
}

func sysClockGetres(a args) (uintptr, Errno) {
	if _, errno := readClock(a.int(0)); errno != 0 || a.i[1] == 0 {
		return 0, errno
	}
	return 0, put(a.p[1], Time{0, 1})
}

func sysGettimeofday(a args) (uintptr, Errno) {
	if a.i[1] != 0 {
		if errno := put(a.p[1], [2]int32{}); errno != 0 {
			return 0, errno
		}
	}
	if a.i[0] == 0 {
		return 0, 0
	}
	return 0, put(a.p[0], microTime(Hooks.WallNow()))
}

func sysTime(a args) (uintptr, Errno) {
	sec := Hooks.WallNow() / 1e9
	if a.i[0] != 0 {
		if errno := put(a.p[0], sec); errno != 0 {
			return 0, errno
		}
	}
	return uintptr(sec), 0
}

func sysNanosleep(a args) (uintptr, Errno) {
	return sleepArg(a.p[0], 0, false)
}

// timerAbstime is TIMER_ABSTIME.
const timerAbstime = 1

func sysClockNanosleep(a args) (uintptr, Errno) {
	ns, errno := readClock(a.int(0))
	if errno != 0 {
		return 0, errno
	}
	if id := a.int(0); id == clockProcessCPU || id == clockThreadCPU {
		return 0, EINVAL
	}
	return sleepArg(a.p[2], ns, a.i[1]&timerAbstime != 0)
}

// sleepArg sleeps for the struct timespec at p, or until then, the clock being
// at now.
func sleepArg(p unsafe.Pointer, now int64, absolute bool) (uintptr, Errno) {
	t, errno := load[Time](p)
	if errno != 0 {
		return 0, errno
	}
	ns, errno := t.duration()
	if errno != 0 {
		return 0, errno
	}
	if absolute {
		ns -= now
	}
	if ns > 0 {
		Hooks.Sleep(ns)
	}
	return 0, 0
}

func sysGetrandom(a args) (uintptr, Errno) {
	const known, maxLength = 7, 1<<25 - 1
	if a.i[2]&^known != 0 {
		return 0, EINVAL
	}
	if Hooks.Random == nil {
		return 0, ENOSYS
	}
	buf, errno := buffer(a.p[0], min(a.i[1], maxLength))
	if errno != 0 || len(buf) == 0 {
		return 0, errno
	}
	Hooks.Random(buf)
	return uintptr(len(buf)), 0
}
