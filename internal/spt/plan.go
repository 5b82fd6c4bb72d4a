package spt

import (
	"math"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/image"
)

// What the launcher does, step by step.

// A region is one mapping of the guest's.
type region struct {
	what   string
	at, to uint64
	prot   int
	fd     int    // fdMemory or fdImage
	offset uint64 // in fd
}

// regions is the address space that package abi describes, in order.
func (p *process) regions() []region {
	memory := func(what string, at, to uint64, prot int) region { return region{what, at, to, prot, fdMemory, at} }
	const r, rw = unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE
	list := []region{
		memory("the clock", abi.ClockAddr, abi.ControlAddr, r),
		memory("the control page", abi.ControlAddr, abi.BootAddr, rw),
		memory("boot information", abi.BootAddr, abi.BootEnd, r),
		memory("the signal stack", abi.SignalStackLow, abi.SignalStackHigh, rw),
		memory("the stack", abi.StackLow, abi.StackHigh, rw),
		memory("rings", abi.RingAddr, abi.RingEnd, rw),
	}
	for i, s := range p.cfg.Image.Segments {
		g := memory("the image", s.Vaddr, s.End(), segmentProt(s.Prot))
		if p.mapped[i] {
			g.fd, g.offset = fdImage, s.Offset
		}
		list = append(list, g)
	}
	list = append(list, memory("the heap", p.cfg.Image.End, p.top, rw))
	if n := uint64(len(p.mem.Files)); n > 0 {
		at := p.mem.FilesAddr()
		list = append(list, region{"files", at, at + n, r, fdImage, p.cfg.Image.Note.Files.Offset})
	}
	return list
}

func segmentProt(p image.Prot) int {
	switch {
	case p&image.ProtExec != 0:
		return unix.PROT_READ | unix.PROT_EXEC
	case p&image.ProtWrite != 0:
		return unix.PROT_READ | unix.PROT_WRITE
	}
	return unix.PROT_READ
}

// mapImage maps what the guest only reads of the image from the file, on both
// sides, unless that cannot be.
func (p *process) mapImage() {
	p.mapped = make([]bool, len(p.cfg.Image.Segments))
	for i, s := range p.cfg.Image.Segments {
		p.mapped[i] = p.mapSegment(s)
	}
}

// loadImage reads the rest of it into guest memory.
func (p *process) loadImage() error {
	img := p.cfg.Image
	for i, s := range img.Segments {
		if p.mapped[i] {
			continue
		}
		if err := img.LoadSegment(i, p.mem.Mem[s.Vaddr:s.Vaddr+s.Memsz]); err != nil {
			return err
		}
	}
	return nil
}

// mapSegment maps a segment of the image's file where the monitor sees it, and
// reports whether the guest can have it so too: not from a file system that is
// mounted noexec.
func (p *process) mapSegment(s image.Segment) bool {
	file := p.cfg.Image.File()
	pages := func(n uint64) uint64 { return (n + abi.PageSize - 1) / abi.PageSize }
	if file == nil || s.Prot&image.ProtWrite != 0 || pages(s.Filesz) != pages(s.Memsz) {
		return false
	}
	fd, n := int(file.Fd()), s.End()-s.Vaddr
	if s.Prot&image.ProtExec != 0 {
		b, err := unix.Mmap(fd, int64(s.Offset), int(n), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
		if err != nil {
			return false
		}
		unix.Munmap(b)
	}
	return p.mem.MapFile(s.Vaddr, n, fd, int64(s.Offset)) == nil
}

// addressLimit is the end of what a process can map without asking for more.
const addressLimit = 0x7fff_ffff_f000

// namespaces are what the guest gets of its own, where the kernel allows. A process
// ID namespace is not among them: see child.fork.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// rootDir becomes the guest's root. Of all folders this one has nothing in it but
// what describes the process's own descriptors, and goes with the process; to make
// an empty one takes longer than all the rest.
const rootDir = "/proc/self/fdinfo"

// plan adds the launcher's steps. With listener, the kernel asks the monitor about
// calls that are not allowed, without it kills at once. What takes time comes
// before the wait: the monitor fills the memory meanwhile.
func (p *process) plan(l *launcher, listener bool) {
	l.call("name", may, unix.SYS_PRCTL, unix.PR_SET_NAME, l.put([]byte(p.name()+"\x00")))
	l.call("die with tailor", must, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uint64(unix.SIGKILL))
	l.call("namespaces of its own", may, unix.SYS_UNSHARE, namespaces)
	l.call("a root folder with nothing in it", may, unix.SYS_CHROOT, l.put([]byte(rootDir+"\x00")))
	l.call("its root folder as the current one", may, unix.SYS_CHDIR, l.put([]byte("/\x00")))
	p.planMemory(l)
	p.planSignals(l)
	p.planRights(l)
	l.call("wait for tailor", must|nonzero, unix.SYS_RECVFROM, fdReport, 0, 0, unix.MSG_TRUNC)
	p.planFilter(l, listener)
}

// name is what the process is called.
func (p *process) name() string {
	if len(p.cfg.Args) == 0 {
		return "tailor-guest"
	}
	name := filepath.Base(p.cfg.Args[0])
	return name[:min(len(name), 15)]
}

func (p *process) planMemory(l *launcher) {
	for _, g := range p.regions() {
		// Private or shared is the same for what cannot be written.
		flags := uint64(unix.MAP_SHARED | unix.MAP_FIXED_NOREPLACE | unix.MAP_NORESERVE)
		l.call("map "+g.what, must, unix.SYS_MMAP, g.at, g.to-g.at, uint64(g.prot), flags, uint64(g.fd), g.offset)
	}
	// All else goes: the stack it was started with, and the vDSO.
	above := p.mem.FilesAddr() + (uint64(len(p.mem.Files))+abi.PageSize-1)&^(abi.PageSize-1)
	l.call("unmap what is below itself", must, unix.SYS_MUNMAP, above, launcherAddr-above)
	end := uint64(launcherAddr + launcherRoom)
	l.call("unmap what is above itself", must, unix.SYS_MUNMAP, end, addressLimit-end)
}

// Signals that the guest's runtime handles: exceptions, calls of SYSCALL
// instructions, and interrupts by the monitor.
var handled = []unix.Signal{
	unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS,
	unix.SIGQUIT, unix.SIGABRT, unix.SIGPROF, unix.SIGURG,
}

func (p *process) planSignals(l *launcher) {
	var control abi.Control
	entry := abi.ControlAddr + uint64(unsafe.Offsetof(control.Process)+unsafe.Offsetof(control.Process.SignalEntry))
	handler, restorer := l.signals(entry)
	const saSiginfo, saRestorer, saOnstack, saRestart = 4, 0x04000000, 0x08000000, 0x10000000
	// struct sigaction of the system call: handler, flags, restorer, mask.
	action := l.words(handler, saSiginfo|saRestorer|saOnstack|saRestart, restorer, math.MaxUint64)
	for _, sig := range handled {
		l.call("handle signals", must, unix.SYS_RT_SIGACTION, uint64(sig), action, 0, 8)
	}
	stack := l.words(abi.SignalStackLow, 0, abi.SignalStackHigh-abi.SignalStackLow)
	l.call("signal stack", must, unix.SYS_SIGALTSTACK, stack, 0)
}

// planRights gives up what the filter would not let the guest use anyway.
func (p *process) planRights(l *launcher) {
	l.call("exact timers", may, unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 1)
	for _, r := range []struct{ resource, limit uint64 }{
		{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NPROC, 0}, {unix.RLIMIT_MEMLOCK, 0},
		{unix.RLIMIT_NOFILE, fdListen + 1},
	} {
		l.call("limits", may, unix.SYS_PRLIMIT64, 0, r.resource, l.words(r.limit, r.limit), 0)
	}
	const capabilityVersion3 = 0x20080522
	l.call("no capabilities", may, unix.SYS_CAPSET, l.words(capabilityVersion3), l.words(0, 0, 0))
	l.call("not dumpable", may, unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	l.call("no new privileges", must, unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
}

// calls are the system calls of a guest, see package abi.
func calls() []rule {
	var control abi.Control
	var info abi.BootInfo
	at := func(off uintptr) uint64 {
		return abi.ControlAddr + uint64(unsafe.Offsetof(control.Process)+off)
	}
	return []rule{
		{unix.SYS_FUTEX, is(at(unsafe.Offsetof(control.Process.Park)), futexWait, abi.ParkAsleep,
			at(unsafe.Offsetof(control.Process.Timeout)), 0, 0)},
		{unix.SYS_SETITIMER, is(itimerProf, at(unsafe.Offsetof(control.Process.Profile)), 0)},
		{unix.SYS_WRITE, is(abi.ProcessBell, abi.BootAddr+uint64(unsafe.Offsetof(info.BellCount)), 8)},
		{unix.SYS_RT_SIGRETURN, nil},
		{unix.SYS_RESTART_SYSCALL, nil},
		{unix.SYS_EXIT_GROUP, nil},
	}
}

// planFilter locks the process in. With a listener it takes four steps, of which
// the first filter lets the other three pass, and the second one kills for these.
func (p *process) planFilter(l *launcher, listener bool) {
	closeRest := rule{unix.SYS_CLOSE_RANGE, is(fdBell+1, math.MaxUint32, 0)}
	const setFilter = unix.SECCOMP_SET_MODE_FILTER
	if !listener {
		l.call("close files", must, unix.SYS_CLOSE_RANGE, fdBell+1, math.MaxUint32, 0)
		prog := newFilter(unix.SECCOMP_RET_KILL_PROCESS, calls(), abi.InstructionCalls[:], p.text())
		l.call("filter", must, unix.SYS_SECCOMP, setFilter, 0, l.program(prog))
		return
	}
	message := l.rights(fdListen)
	send := rule{unix.SYS_SENDMSG, is(fdReport, message, 0)}
	setup := []rule{send, closeRest}
	// The second filter kills for its own installation too: the address of its
	// program is known beforehand, the size of a program being that of another.
	second := l.reserve(len(newKiller(append(setup, rule{unix.SYS_SECCOMP, is(0, 0, 0)}))))
	setup = append(setup, rule{unix.SYS_SECCOMP, is(setFilter, 0, second)})
	l.fill(second, newKiller(setup))
	first := newFilter(unix.SECCOMP_RET_USER_NOTIF, append(calls(), setup...), abi.InstructionCalls[:], p.text())
	l.call("filter", must, unix.SYS_SECCOMP, setFilter, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, l.program(first))
	l.call("send the filter's listener", must, unix.SYS_SENDMSG, fdReport, message, 0)
	// Reports end here: what fails now ends the process.
	l.call("close files", must, unix.SYS_CLOSE_RANGE, fdBell+1, math.MaxUint32, 0)
	l.call("second filter", must, unix.SYS_SECCOMP, setFilter, 0, second)
}

// text is where the image's instructions are.
func (p *process) text() (t text) {
	for _, s := range p.cfg.Image.Segments {
		if s.Prot&image.ProtExec == 0 {
			continue
		}
		if t.low == 0 {
			t.low = s.Vaddr
		}
		t.high = s.End()
	}
	return t
}
