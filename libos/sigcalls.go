package libos

// maxSignal is the greatest signal number.
const maxSignal = 64

// signalSelf sends a signal to the program; 0 only checks.
func signalSelf(sig int) Errno {
	if sig < 0 || sig > maxSignal {
		return EINVAL
	}
	if sig == 0 {
		return 0
	}
	return Hooks.Kill(sig)
}

func sysKill(a args) (uintptr, Errno) {
	switch a.int(0) {
	case processID, 0, -1: // -1 is all processes, and process group 1
		return 0, signalSelf(a.int(1))
	}
	return 0, ESRCH
}

func sysTgkill(a args) (uintptr, Errno) {
	switch {
	case a.int(0) <= 0 || a.int(1) <= 0:
		return 0, EINVAL
	case a.int(0) != processID || a.int(1) != threadID:
		return 0, ESRCH
	}
	return 0, signalSelf(a.int(2))
}

func sysTkill(a args) (uintptr, Errno) {
	switch {
	case a.int(0) <= 0:
		return 0, EINVAL
	case a.int(0) != threadID:
		return 0, ESRCH
	}
	return 0, signalSelf(a.int(1))
}

// sysExit ends the program. The error is seen only where no hook is set.
func sysExit(a args) (uintptr, Errno) {
	Hooks.Exit(int(a.i[0] & 0xff))
	return 0, ENOSYS
}

// noChildren answers the calls that wait for a process.
func noChildren(args) (uintptr, Errno) { return 0, ECHILD }
