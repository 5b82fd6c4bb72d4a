package libos

import "sync/atomic"

// ReleaseName is what uname tells as the kernel's release. Go and x/sys read
// the version number from it to see which calls there are.
const ReleaseName = "6.1.0-tailor"

// utsLength is the size in bytes of each field of struct new_utsname.
const utsLength = 65

// utsName is struct new_utsname.
type utsName struct {
	sysname, nodename, release, version, machine, domain [utsLength]byte
}

func sysUname(a args) (uintptr, Errno) {
	var u utsName
	copy(u.sysname[:], "Linux")
	copy(u.nodename[:], host())
	copy(u.release[:], ReleaseName)
	copy(u.version[:], "#1 Tailor")
	copy(u.machine[:], machineName)
	copy(u.domain[:], "(none)")
	return 0, put(a.p[0], u)
}

func sysSethostname(a args) (uintptr, Errno) {
	if a.i[1] >= utsLength {
		return 0, EINVAL
	}
	b, errno := a.bytes(0, 1)
	if errno == 0 {
		hostName = string(b)
	}
	return 0, errno
}

// The one process there is.
const (
	processID = 1
	threadID  = 1
)

func sysGetpid(args) (uintptr, Errno)  { return processID, 0 }
func sysGettid(args) (uintptr, Errno)  { return threadID, 0 }
func returnZero(args) (uintptr, Errno) { return 0, 0 }

func sysGetpgid(a args) (uintptr, Errno) {
	if pid := a.int(0); pid != 0 && pid != processID {
		return 0, ESRCH
	}
	return processID, 0
}

// There is only user and group 0: setuid and its kin take that, or "keep".
func sysSetID(a args) (uintptr, Errno)    { return setIDs(a.i[:1]) }
func sysSetReID(a args) (uintptr, Errno)  { return setIDs(a.i[:2]) }
func sysSetResID(a args) (uintptr, Errno) { return setIDs(a.i[:3]) }

func setIDs(ids []uintptr) (uintptr, Errno) {
	for _, id := range ids {
		if uint32(id) != 0 && uint32(id) != keepID {
			return 0, EPERM
		}
	}
	return 0, 0
}

func sysSetgroups(a args) (uintptr, Errno) {
	if a.int(0) != 0 {
		return 0, EPERM
	}
	return 0, 0
}

func sysGetres(a args) (uintptr, Errno) {
	for i := range 3 {
		if errno := put(a.p[i], uint32(0)); errno != 0 {
			return 0, errno
		}
	}
	return 0, 0
}

// rlimit is struct rlimit.
type rlimit struct{ cur, max uint64 }

const (
	rlimitNofile = 7
	rlimitStack  = 3
	numRlimits   = 16
	unlimited    = 1<<64 - 1
)

// limitOf returns a resource limit. Only that of descriptors can be changed.
func limitOf(resource int) rlimit {
	switch resource {
	case rlimitNofile:
		fds.mu.Lock()
		defer fds.mu.Unlock()
		return rlimit{uint64(fds.limit), maxFDs}
	case rlimitStack:
		return rlimit{8 << 20, unlimited}
	}
	return rlimit{unlimited, unlimited}
}

func setLimit(resource int, l rlimit) Errno {
	if l.cur > l.max {
		return EINVAL
	}
	if resource != rlimitNofile {
		return 0
	}
	if l.max > maxFDs {
		return EPERM
	}
	fds.mu.Lock()
	defer fds.mu.Unlock()
	fds.limit = int(l.cur)
	return 0
}

func sysGetrlimit(a args) (uintptr, Errno) {
	if uint32(a.i[0]) >= numRlimits {
		return 0, EINVAL
	}
	return 0, put(a.p[1], limitOf(a.int(0)))
}

func sysSetrlimit(a args) (uintptr, Errno) {
	l, errno := load[rlimit](a.p[1])
	if errno != 0 {
		return 0, errno
	}
	if uint32(a.i[0]) >= numRlimits {
		return 0, EINVAL
	}
	return 0, setLimit(a.int(0), l)
}

func sysPrlimit(a args) (uintptr, Errno) {
	if pid := a.int(0); pid != 0 && pid != processID {
		return 0, ESRCH
	}
	if uint32(a.i[1]) >= numRlimits {
		return 0, EINVAL
	}
	old := limitOf(a.int(1))
	if a.i[2] != 0 {
		l, errno := load[rlimit](a.p[2])
		if errno == 0 {
			errno = setLimit(a.int(1), l)
		}
		if errno != 0 {
			return 0, errno
		}
	}
	if a.i[3] != 0 {
		return 0, put(a.p[3], old)
	}
	return 0, 0
}

// sysInfo is struct sysinfo of 64-bit machines.
type sysInfo struct {
	uptime      int64     // seconds
	_           [3]uint64 // loads
	total, free uint64    // units
	_           [4]uint64 // shared, buffers, swap in total and free
	procs       uint16
	_           [3]uint16
	_           [2]uint64 // high memory
	unit        uint32    // bytes
	_           uint32
}

func sysSysinfo(a args) (uintptr, Errno) {
	total, free := Hooks.Memory()
	return 0, put(a.p[0], sysInfo{
		uptime: Hooks.Now() / 1e9, total: total, free: free, procs: 1, unit: 1,
	})
}

// rusage is struct rusage, its times struct timeval.
type rusage struct {
	user   Time
	_      Time  // system
	maxRSS int64 // KiB
	_      [13]int64
}

func cpuTime() int64 {
	if Hooks.CPUTime == nil {
		return Hooks.Now()
	}
	return Hooks.CPUTime()
}

// microTime returns nanoseconds as a struct timeval.
func microTime(ns int64) Time {
	t := timeOf(ns)
	t.Nsec /= 1000
	return t
}

func sysGetrusage(a args) (uintptr, Errno) {
	var r rusage
	switch a.int(0) {
	case 0, 1: // RUSAGE_SELF, RUSAGE_THREAD
		total, free := Hooks.Memory()
		r.user = microTime(cpuTime())
		r.maxRSS = int64(total-free) / 1024
	case -1: // RUSAGE_CHILDREN
	default:
		return 0, EINVAL
	}
	return 0, put(a.p[1], r)
}

// clockTick is the nanoseconds of one tick of times(2), 100 a second.
const clockTick = 1e7

func sysTimes(a args) (uintptr, Errno) {
	if a.i[0] != 0 {
		if errno := put(a.p[0], [4]int64{cpuTime() / clockTick}); errno != 0 {
			return 0, errno
		}
	}
	return uintptr(Hooks.Now() / clockTick), 0
}

// sysGetaffinity tells of one processor, in one word.
func sysGetaffinity(a args) (uintptr, Errno) {
	if pid := a.int(0); pid != 0 && pid != processID {
		return 0, ESRCH
	}
	if a.i[1] < 8 || a.i[1]%8 != 0 {
		return 0, EINVAL
	}
	return 8, put(a.p[2], uint64(1))
}

// sysSetaffinity takes any set with the one processor in it.
func sysSetaffinity(a args) (uintptr, Errno) {
	if pid := a.int(0); pid != 0 && pid != processID {
		return 0, ESRCH
	}
	set, errno := buffer(a.p[2], min(a.i[1], pageSize))
	if errno == 0 && (len(set) == 0 || set[0]&1 == 0) {
		errno = EINVAL
	}
	return 0, errno
}

// sysGetpriority tells of the ordinary priority, as 20 minus the nice value.
func sysGetpriority(args) (uintptr, Errno) { return 20, 0 }

func sysYield(args) (uintptr, Errno) {
	Hooks.Yield()
	return 0, 0
}

func sysGetcpu(a args) (uintptr, Errno) {
	for i := range 2 {
		if a.i[i] != 0 {
			if errno := put(a.p[i], uint32(0)); errno != 0 {
				return 0, errno
			}
		}
	}
	return 0, 0
}

// capHeader and capData are those of capget (include/uapi/linux/capability.h).
type capHeader struct {
	version uint32
	pid     int32
}

const capVersion3 = 0x20080522

// sysCapget tells that user 0 has every capability, but cannot give them away.
func sysCapget(a args) (uintptr, Errno) {
	h, errno := load[capHeader](a.p[0])
	if errno != 0 {
		return 0, errno
	}
	if h.version != capVersion3 {
		h.version = capVersion3
		put(a.p[0], h)
		return 0, EINVAL
	}
	if h.pid != 0 && h.pid != processID {
		return 0, ESRCH
	}
	if a.i[1] == 0 {
		return 0, 0
	}
	const low, high = 1<<32 - 1, 1<<9 - 1 // 41 capabilities
	return 0, put(a.p[1], [6]uint32{low, low, 0, high, high, 0})
}

// Options of prctl.
const (
	prGetDumpable   = 3
	prGetKeepCaps   = 7
	prSetKeepCaps   = 8
	prSetName       = 15
	prGetName       = 16
	prSetNoNewPrivs = 38
	prGetNoNewPrivs = 39
)

// threadName is what prctl(PR_SET_NAME) set, keepCaps what PR_SET_KEEPCAPS did.
var (
	threadName [16]byte
	keepCaps   atomic.Bool
)

// prctlMask returns which arguments of prctl are pointers.
//
//go:nosplit
func prctlMask(option uintptr) uint8 {
	if option == prSetName || option == prGetName {
		return ptr1
	}
	return 0
}

func sysPrctl(a args) (uintptr, Errno) {
	switch a.int(0) {
	case prSetName:
		name, errno := cstring(a.p[1], len(threadName)-1)
		if errno == EFAULT {
			return 0, errno
		}
		threadName = [16]byte{}
		copy(threadName[:15], name)
		return 0, 0
	case prGetName:
		return 0, put(a.p[1], threadName)
	case prGetKeepCaps:
		return onBit(keepCaps.Load(), 1), 0
	case prSetKeepCaps:
		if a.i[1] > 1 {
			return 0, EINVAL
		}
		keepCaps.Store(a.i[1] != 0)
		return 0, 0
	case prGetDumpable, prGetNoNewPrivs, prSetNoNewPrivs:
		return 0, 0
	}
	return 0, EINVAL
}
