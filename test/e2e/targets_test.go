package e2e

import (
	"io"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/spt"
	"github.com/tailor-os/tailor/internal/xtest"
)

// A target is a way to run a program. Tests run on each of them, see [each]:
//
//   - A test says what it needs of a target (a [need]). A target that has not
//     that skips the test with the reason; there is no other skip by target.
//   - How often something is repeated is divided by what software emulation
//     costs ([target.times]): what repetition finds, hvt and spt find sooner,
//     which run the same code on the processor.
//   - qemu-q35 has other devices than qemu-microvm and another way to find them,
//     and above that the same image. What only computes runs on qemu-microvm.
//   - unix is the plain process. It shows that the test itself is right.
type target struct {
	name  string
	build string // what images are built for
	flags []string
	lacks map[need]string // what it has not, and why
	slow  int             // repetitions are divided by it
}

// A need is what a test is about and not every target has.
type need string

const (
	ownMemory  need = "memory of a given size"
	ownSystem  need = "system calls that libos answers"
	ownFiles   need = "files of its own"
	oneThread  need = "one thread"
	ringZero   need = "a ring 0 of its own"
	layout     need = "the addresses of package abi"
	ourMonitor need = "our monitor on the other side of its rings"
	bell       need = "the monitor's doorbell registers"
	ownNetwork need = "a network of its own"
	separate   need = "a machine apart from the tool's process"
	computing  need = "code above the drivers that no other target runs"
	bigFiles   need = "memory to spare for the files of an image"
	sealedBoot need = "boot information that somebody else wrote"
	fineClock  need = "a clock of the host's that is finer than a second"
)

var unixLacks = map[need]string{
	ownMemory:  "a plain process has the memory of the host",
	ownSystem:  "a plain process has Linux's system calls",
	ownFiles:   "a plain process has the files of the host",
	oneThread:  "a plain process has threads",
	ringZero:   "a plain process has Linux's signals",
	layout:     "a plain process has the addresses that Linux gives it",
	ourMonitor: "a plain process has no devices",
	bell:       "a plain process has no devices",
	ownNetwork: "a plain process has the network of the host",
	separate:   "the tool replaces itself by a plain process",
	bigFiles:   "a plain process has the files of the host",
}

var qemuLacks = map[need]string{
	ourMonitor: "QEMU is on the other side of its rings",
	bell:       "the doorbells are those of QEMU's devices",
	bigFiles:   "QEMU reads the whole image into the guest's memory",
	sealedBoot: "the guest itself, in ring 3, writes what it found out about its machine",
}

// with returns lacks and one more.
func with(lacks map[need]string, n need, why string) map[need]string {
	more := map[need]string{n: why}
	for k, v := range lacks {
		more[k] = v
	}
	return more
}

// targets lists them all.
func targets() []target {
	slow, onAnyQEMU := 1, qemuLacks
	if kvm, _ := qemu.KVM("/"); !kvm {
		slow, onAnyQEMU = 10, with(qemuLacks, fineClock, "QEMU without KVM has the battery-backed clock, which counts seconds")
	}
	onQEMU := func(machine string, lacks map[need]string) target {
		return target{"qemu-" + machine, build.Virtio, []string{"-t", "qemu", "--machine", machine}, lacks, slow}
	}
	return []target{
		{"hvt", build.HVT, []string{"-t", "hvt"}, nil, 1},
		{"spt", build.HVT, []string{"-t", "spt"}, map[need]string{
			bell:     "a process rings by a write to a file, which has no registers",
			ringZero: "a process has Linux's signals",
		}, 1},
		onQEMU("microvm", onAnyQEMU),
		onQEMU("q35", with(onAnyQEMU, computing, "above the drivers it is what qemu-microvm runs")),
		{"unix", build.Unix, []string{"-t", "unix"}, unixLacks, 1},
	}
}

// targetHVT is the first of them, for what is about its monitor alone.
func targetHVT(t testing.TB) target {
	t.Helper()
	on := targets()[0]
	on.works(t)
	return on
}

// targetSPT is the second of them, for what it alone promises.
func targetSPT(t testing.TB) target {
	t.Helper()
	on := targets()[1]
	on.works(t)
	return on
}

// targetMicroVM is the third of them, for what is about other hypervisors alone.
func targetMicroVM(t testing.TB) target {
	t.Helper()
	on := targets()[2]
	on.works(t)
	return on
}

// each runs f on each target that has what the test needs.
func each(t *testing.T, f func(t *testing.T, on target), needs ...need) {
	for _, on := range targets() {
		t.Run(on.name, func(t *testing.T) {
			on.must(t, needs...)
			on.works(t)
			f(t, on)
		})
	}
}

// works skips the test where the machine cannot run the target.
func (on target) works(t testing.TB) {
	t.Helper()
	switch {
	case on.name == "hvt":
		xtest.NeedKVM(t)
	case on.name == "spt":
		xtest.Need(t, xtest.Seccomp, spt.Check(), "see tailor doctor")
	case on.build == build.Virtio:
		xtest.NeedCommand(t, qemu.Program, "qemu-system-x86")
	}
}

// must skips the test if the target lacks something.
func (on target) must(t testing.TB, needs ...need) {
	t.Helper()
	for _, n := range needs {
		if why := on.lacks[n]; why != "" {
			t.Skipf("%s: %s (the test needs %s)", on.name, why, n)
		}
	}
}

// has reports whether the target lacks nothing of needs.
func (on target) has(n need) bool { return on.lacks[n] == "" }

// times returns how often to do what the fastest targets do n times.
func (on target) times(n int) int { return max(1, n/on.slow) }

// signaled returns the exit code of a program that a signal ended. A plain
// process dies of it.
func (on target) signaled(s syscall.Signal) int {
	if on.build == build.Unix {
		return -1
	}
	return 128 + int(s)
}

// image builds the image of a package, once.
func (on target) image(t testing.TB, pkg string) string {
	t.Helper()
	return buildImage(t, on.build, pkg)
}

// line is the command line of tailor run, with flags, image and arguments in args.
func (on target) line(args ...string) []string {
	return append(append([]string{"run"}, on.flags...), args...)
}

// memory returns the flags for that much memory. A plain process has what it
// wants.
func (on target) memory(size string) []string {
	if !on.has(ownMemory) {
		return nil
	}
	return []string{"-m", size}
}

// start starts tailor run with flags, image and arguments.
func (on target) start(t testing.TB, stdin io.Reader, args ...string) *proc {
	t.Helper()
	return start(t, stdin, on.line(args...)...)
}

// run is start, to the end.
func (on target) run(t testing.TB, args ...string) result {
	t.Helper()
	return on.start(t, nil, args...).wait()
}

// guest runs a command of the guest program.
func (on target) guest(t testing.TB, args ...string) result {
	t.Helper()
	return on.startGuest(t, nil, args...).wait()
}

func (on target) startGuest(t testing.TB, stdin io.Reader, args ...string) *proc {
	t.Helper()
	return on.start(t, stdin, append([]string{on.image(t, guestPkg)}, args...)...)
}

// buildWith builds an image with flags of its own.
func (on target) buildWith(t *testing.T, env []string, pkg string, flags ...string) string {
	t.Helper()
	return buildWith(t, env, pkg, append([]string{"-t", on.build}, flags...)...)
}
