package port

import (
	"io"
	"io/fs"

	"github.com/tailor-os/tailor"
)

// An Edit is one change to a file of GOROOT/src: Old must stand there exactly
// Count times (once if zero) and becomes New. docs/port.md is written from
// this table.
type Edit struct {
	File     string
	Old, New string
	Count    int    `json:",omitempty"`
	Release  string `json:",omitempty"` // only this release, "1.26"; all if empty
	Why      string `json:"-"`
}

// machineFiles maps files of package machine to the runtime's file whose place
// they take; the others are added beside it as tailor_NAME.
var machineFiles = map[string]string{
	"boot_amd64.s": "rt0_linux_amd64.s",
	"event.go":     "netpoll_epoll.go",
	"memory.go":    "mem_linux.go",
}

const (
	syscallInstr = "\tSYSCALL\n"
	syscallCall  = "\tCALL\truntime·tailorCall(SB)\n"
)

// Edits is the whole runtime port besides package machine.
var Edits = []Edit{
	// The waist: system calls become function calls.
	{
		File: "runtime/sys_linux_amd64.s", Old: syscallInstr, New: syscallCall, Count: 40,
		Why: "The runtime's own system calls go to machine/kernel.go.",
	},
	{
		File: "internal/runtime/syscall/linux/asm_linux_amd64.s", Old: syscallInstr, New: syscallCall,
		Why: "The same for the calls that the runtime makes from Go.",
	},
	{
		File: "syscall/asm_linux_amd64.s", Old: syscallInstr, New: syscallCall, Count: 3,
		Why: "fork fails with ENOSYS; getuid and the like reach the library OS.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\tr1, r2, errno = linux.Syscall6(trap, a1, a2, a3, a4, a5, a6)\n",
		New:  "\tr1, r2, errno = libos.Enter(trap, a1, a2, a3, a4, a5, a6)\n",
		Why:  "The library's system calls go to the library OS, on the calling goroutine.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\t\"internal/runtime/syscall/linux\"\n", New: "\t\"Tailor/libos\"\n",
		Why: "See above.",
	},
	{
		File: "syscall/syscall_linux.go", Old: "\truntime_entersyscall()\n", New: "", Count: 2,
		Why: "A system call is ordinary Go code here: it may grow the stack, allocate and park.",
	},
	{
		File: "syscall/syscall_linux.go", Old: "\truntime_exitsyscall()\n", New: "", Count: 2,
		Why: "See above.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\tr1, r2, errno := runtime_doAllThreadsSyscall(trap, a1, a2, a3, 0, 0, 0)\n",
		New:  "\tr1, r2, errno := libos.Enter(trap, a1, a2, a3, 0, 0, 0)\n",
		Why:  "All threads are one. So setuid and the like reach the library OS.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\tr1, r2, errno := runtime_doAllThreadsSyscall(trap, a1, a2, a3, a4, a5, a6)\n",
		New:  "\tr1, r2, errno := libos.Enter(trap, a1, a2, a3, a4, a5, a6)\n",
		Why:  "See above.",
	},

	// The groups of calls: what a program cannot reach is not linked.
	{
		File: "syscall/syscall.go",
		Old:  "\tif bytealg.IndexByteString(s, 0) != -1 {\n", New: "\tlibos.UseFiles()\n\tif bytealg.IndexByteString(s, 0) != -1 {\n",
		Why: "Files are linked, and made when first used, where a path becomes a system call's: nothing is done to a file before that.",
	},
	{
		File: "syscall/syscall.go",
		Old:  "import \"internal/bytealg\"\n", New: "import (\n\t\"Tailor/libos\"\n\t\"internal/bytealg\"\n)\n",
		Why: "See above.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\terr := pipe2(&pp, flags)\n", New: "\tlibos.UsePipes()\n\terr := pipe2(&pp, flags)\n",
		Why: "The same for pipes.",
	},
	{
		File: "syscall/syscall_linux.go",
		Old:  "\treturn mapper.Mmap(fd, offset, length, prot, flags)\n", New: "\tlibos.UseMappings()\n\treturn mapper.Mmap(fd, offset, length, prot, flags)\n",
		Why: "The same for mappings of files and memory.",
	},

	// Heap dumps.
	{
		File: "runtime/heapdump.go",
		Old:  "\twrite(dumpfd, unsafe.Pointer(&buf), int32(nbuf))\n",
		New:  "\ttailorDumpWrite(dumpfd, unsafe.Pointer(&buf), int32(nbuf))\n", Count: 2,
		Why: "The dump is kept until the world goes on: files are Go code, too.",
	},
	{
		File: "runtime/heapdump.go",
		Old:  "\t\twrite(dumpfd, data, int32(len))\n", New: "\t\ttailorDumpWrite(dumpfd, data, int32(len))\n",
		Why: "See above.",
	},
	{
		File: "runtime/heapdump.go",
		Old:  "\tstartTheWorld(stw)\n", New: "\tstartTheWorld(stw)\n\ttailorDumpDone(fd)\n",
		Why: "Now it can be written.",
	},

	// One thread.
	{
		File: "runtime/proc.go",
		Old:  "const haveSysmon = GOARCH != \"wasm\"\n", New: "const haveSysmon = false\n",
		Why: "There is no thread for the system monitor.",
	},
	{
		File: "runtime/proc.go",
		Old:  "\tif GOARCH == \"wasm\" {\n\t\treturn // no threads on wasm yet\n\t}\n",
		New:  "\tif true {\n\t\treturn\n\t}\n", Count: 2,
		Why: "LockOSThread has nothing to lock to.",
	},
	{
		File: "runtime/proc.go",
		Old:  "\tif GOARCH == \"wasm\" { // no threads on wasm yet\n\t\treturn\n\t}\n",
		New:  "\tif true {\n\t\treturn\n\t}\n",
		Why:  "No template thread.",
	},
	{
		File: "runtime/debug.go",
		Old:  "\tif GOARCH == \"wasm\" && n > 1 {\n", New: "\tif n > 1 {\n",
		Why: "GOMAXPROCS(n) stays 1, as on wasm.",
	},
	{
		File: "runtime/proc.go",
		Old:  "\tif procresize(procs) != nil {\n", New: "\tprocs = 1\n\tif procresize(procs) != nil {\n",
		Why: "The environment's GOMAXPROCS does not raise it either.",
	},
	{
		File: "runtime/cgroup_linux.go",
		Old:  "package runtime\n", New: "//go:build ignore\n\npackage runtime\n",
		Why: "There are no control groups to count processors by.",
	},
	{
		File: "runtime/cgroup_stubs.go",
		Old:  "//go:build !linux\n", New: "//go:build linux\n",
		Why: "See above.",
	},
	{
		File: "runtime/lock_futex.go",
		Old:  "func notetsleepg(n *note, ns int64) bool {\n", New: "func tailorUnusedNotetsleepg(n *note, ns int64) bool {\n",
		Why: "It blocks a thread; machine/signal.go has one that parks the goroutine.",
	},

	// What cannot happen, and would keep much of the runtime in every image.
	{
		File: "runtime/traceruntime.go",
		Old:  "\treturn trace.enabled\n", New: "\treturn tailorDiagnostics && trace.enabled\n",
		Why: "Tracing is linked with runtime/trace: machine/diagnostics.go.",
	},
	{
		File: "runtime/traceruntime.go",
		Old:  "\treturn trace.enabledWithAllocFree\n", New: "\treturn tailorDiagnostics && trace.enabledWithAllocFree\n",
		Why: "See above.",
	},
	{
		File: "runtime/traceruntime.go",
		Old:  "\treturn trace.shutdown.Load()\n", New: "\treturn tailorDiagnostics && trace.shutdown.Load()\n",
		Why: "See above.",
	},
	{
		File: "runtime/trace.go",
		Old:  "\tif traceEnabled() || traceShuttingDown() {\n\t\treturn errorString(",
		New:  "\tif !tailorDiagnostics {\n\t\treturn errorString(\"tracing needs an import of runtime/trace\")\n\t}\n\tif traceEnabled() || traceShuttingDown() {\n\t\treturn errorString(",
		Why:  "See above, for a program that calls runtime.StartTrace itself.",
	},
	{
		File: "runtime/metrics.go",
		Old:  "func godebug_registerMetric(name string, read func() uint64) {\n",
		New:  "func godebug_registerMetric(name string, read func() uint64) {\n\tif !tailorDiagnostics {\n\t\treturn\n\t}\n",
		Why:  "Metrics are linked with runtime/metrics.",
	},
	{
		File: "runtime/asm_amd64.s",
		Old:  "\tMOVQ\t$runtime·debugPinnerV1<ABIInternal>(SB), AX\n\tMOVQ\t$runtime·debugCallV2<ABIInternal>(SB), AX\n", New: "",
		Why: "No debugger injects calls into a guest.",
	},
	{
		File: "runtime/type.go",
		Old:  "\tif firstmoduledata.next == nil {\n", New: "\tif true {\n",
		Why: "An image has one module: there are no plugins and shared libraries.",
	},
	{
		File: "runtime/traceback.go",
		Old:  "\tcall := cgocall\n", New: "\tcall := asmcgocall\n", Count: 2,
		Why: "There is no C to trace back through,",
	},
	{
		File: "runtime/os_linux.go",
		Old:  "\t\tvdsoauxv(tag, val)\n", New: "",
		Why: "There is no vDSO.",
	},
	{
		File: "runtime/panic.go",
		Old:  "\t\tif debug.schedtrace > 0 || debug.scheddetail > 0 {\n", New: "\t\tif false {\n",
		Why: "GODEBUG=schedtrace is printed by the system monitor, which there is not.",
	},
	{
		File: "runtime/proc.go",
		Old:  "\tif iscgo {\n\t\tif _cgo_pthread_key_created == nil {\n", New: "\tif false {\n\t\tif _cgo_pthread_key_created == nil {\n",
		Why: "nor to start.",
	},
	{
		File: "runtime/signal_unix.go",
		Old:  "\t\t\tsigprof(c.sigpc(), c.sigsp(), c.siglr(), gp, mp)\n",
		New:  "\t\t\tif tailorProfiler != nil {\n\t\t\t\ttailorProfiler(c.sigpc(), c.sigsp(), c.siglr(), gp, mp)\n\t\t\t}\n",
		Why:  "CPU profiles are linked if the program can start one.",
	},
	{
		File: "runtime/cpuprof.go",
		Old:  "\t\tcpuprof.on = true\n", New: "\t\tcpuprof.on = true\n\t\ttailorProfiler = sigprof\n",
		Why: "See above.",
	},
	{
		File: "runtime/signal_unix.go",
		Old:  "\tif (GOOS == \"linux\" || GOOS == \"android\") && sig == sigPerThreadSyscall {\n\t\t//", New: "\tif false {\n\t\t//",
		Why: "No other thread asks for a system call,",
	},
	{
		File: "runtime/signal_unix.go",
		Old:  "\tif sig == sigPreempt && debug.asyncpreemptoff == 0 && !delayedSignal {\n",
		New:  "\tif sig == sigPreempt {\n\t\ttailorStall(c, gp, mp)\n\t\treturn\n\t}\n\tif false {\n",
		Why:  "and none preempts: the signal for it says that a goroutine computes for long (machine/interrupt.go).",
	},
	{
		File: "runtime/signal_unix.go",
		Old:  "const preemptMSupported = true\n", New: "const preemptMSupported = false\n",
		Why: "See above.",
	},
	{
		File: "runtime/asm_amd64.s",
		Old:  "\tCALL\truntime·check(SB)\n", New: "",
		Why: "At each start it would look for mistakes of the compiler, in sizes of types and atomic operations.",
	},
	{
		File: "runtime/symtab.go",
		Old:  "\t\tmoduledataverify1(datap)\n", New: "",
		Why: "At each start it would read the linker's tables from end to end, in search of mistakes of the linker.",
	},
	{
		File: "os/pidfd_linux.go",
		Old:  "func checkPidfd() error {\n", New: "func checkPidfd() error {\n\treturn syscall.ENOSYS\n",
		Why: "There are no processes to wait for.",
	},
	{
		File: "internal/godebug/godebug.go",
		Old:  "\t\t\t\t\t\t\tv.bisect, _ = bisect.New(arg[j+1:])\n", New: "",
		Why: "golang.org/x/tools/cmd/bisect, which runs a program many times to find the place where a GODEBUG setting matters, does so on Linux.",
	},
	{
		File: "internal/godebug/godebug.go",
		Old:  "\tif v.bisect != nil && !v.bisect.Stack(&stderr) {\n", New: "\tif false {\n",
		Why: "See above.",
	},

	{
		File: "runtime/proc.go",
		Old:  "\t\tnewg = malg(stackMin)\n", New: "\t\tnewg = malg(tailorStack())\n",
		Why: "The main goroutine need not grow its stack under software emulation, where code that runs once is dear.",
	},

	// The event loop.
	{
		File: "runtime/proc.go",
		Old:  "\tnow, pollUntil, _ := pp.timers.check(0, nil)\n",
		New:  "\tnow, pollUntil, _ := pp.timers.check(0, nil)\n\ttailorPoll()\n",
		Why:  "Devices and signals are looked at whenever the scheduler looks for work.",
	},

	{
		File: "runtime/proc.go",
		Old:  "\tif mp.spinning || 2*sched.nmspinning.Load() < gomaxprocs-sched.npidle.Load() {\n", New: "\tif false {\n",
		Why: "There is one processor, with no other to steal work from.",
	},

	// Code between two blocking operations is atomic: an allocation never blocks.
	{
		File: "runtime/mgc.go",
		Old:  "\tmemstats.enablegc = true // now", New: "\tgcBgMarkStartWorkers()\n\tmemstats.enablegc = true // now",
		Why: "The first collection would wait for its worker to start, in the middle of somebody's allocation.",
	},
	{
		File: "runtime/mgcmark.go",
		Old:  "\t\tif !gcParkAssist() {\n", New: "\t\tif false && !gcParkAssist() {\n",
		Why: "An allocation that shall help the collector, and finds nothing to do or no time to do it in, goes on: nobody else would do it meanwhile, and the next one pays.",
	},

	// Linear memory.
	{
		File: "runtime/mem_sbrk.go",
		Old:  "//go:build plan9 || wasm\n", New: "//go:build linux\n",
		Why: "Memory is one flat range that grows by a break.",
	},
	{
		File: "runtime/mem_nonsbrk.go",
		Old:  "//go:build !plan9 && !wasm\n", New: "//go:build ignore\n",
		Why: "See above.",
	},
	{
		File: "runtime/os_linux.go",
		Old:  "func osinit() {\n", New: "func osinit() {\n\tinitBloc()\n\ttailorOSInit()\n",
		Why: "The break starts at the end of the image; clocks and the like where no monitor has set them.",
	},
	{
		File: "runtime/mem_sbrk.go",
		Old:  "\tbloc = memRound(firstmoduledata.end)\n", New: "\tbloc = memRound(uintptr(tailorBootInfo().ImageEnd))\n",
		Why: "What comes with the image may lie behind it.",
	},
	{
		File: "runtime/runtime1.go",
		Old:  "func goargs() {\n", New: "func goargs() {\n\tif tailorArgs() {\n\t\treturn\n\t}\n",
		Why: "Arguments may come as a command line,",
	},
	{
		File: "runtime/runtime1.go",
		Old:  "func goenvs_unix() {\n", New: "func goenvs_unix() {\n\tif tailorEnvs() {\n\t\treturn\n\t}\n",
		Why: "and so may the environment.",
	},
	{
		File: "runtime/malloc.go",
		Old:  "\theapAddrBits = (_64bit*(1-goarch.IsWasm)*(1-goos.IsIos*goarch.IsArm64))*48 +",
		New:  "\theapAddrBits = (_64bit*(1-goarch.IsWasm)*(1-goos.IsIos*goarch.IsArm64))*40 +",
		Why:  "The heap's address space is 1 TiB from address zero, so that its tables are small.",
	},
	{
		File: "runtime/malloc.go",
		Old:  "\tlogHeapArenaBytes = (6+20)*(_64bit*", New: "\tlogHeapArenaBytes = (9+10)*(_64bit*",
		Why: "Arenas of 512 KiB, as on wasm: memory is counted, not reserved.",
	},
	{
		File: "runtime/malloc.go",
		Old:  "\tarenaL1Bits = 6 * (_64bit * goos.IsWindows)\n", New: "\tarenaL1Bits = 9\n",
		Why: "Two levels, so that one table of the small arenas is 32 KiB.",
	},
	{
		File: "runtime/malloc.go",
		Old:  "\tarenaBaseOffset = 0xffff800000000000*goarch.IsAmd64 +", New: "\tarenaBaseOffset = 0*goarch.IsAmd64 +",
		Why: "Addresses are low.",
	},
	{
		File: "runtime/mpagealloc.go",
		Old:  "\tlogPallocChunkPages = 9*(1-goarch.IsWasm) + 6*goarch.IsWasm\n", New: "\tlogPallocChunkPages = 6*(1-goarch.IsWasm) + 6*goarch.IsWasm\n",
		Why: "A chunk may not be larger than an arena.",
	},
	{
		File: "runtime/mpagealloc_64bit.go",
		Old:  "\t\tentries := 1 << (heapAddrBits - shift)\n",
		New:  "\t\tentries := tailorSummaries(shift)\n",
		Why:  "Tables for the memory there is, not for the address space.",
	},
	{
		File: "runtime/mpagealloc_64bit.go",
		Old:  "\tn := uintptr(1<<heapAddrBits) / pallocChunkBytes\n",
		New:  "\tn := tailorChunks()\n",
		Why:  "See above.",
	},
	{
		File: "crypto/internal/fips140/drbg/entropy_fips140.go",
		Old:  "import entropy \"crypto/internal/entropy/v1.0.0\"\n",
		New:  "import (\n\tentropy \"crypto/internal/entropy/v1.0.0\"\n\t\"sync\"\n)\n",
		Why:  "A buffer of 32 MiB that only FIPS mode uses is not to be part of every image's memory (upstream leaves it out on wasm for the same reason).",
	},
	{
		File: "crypto/internal/fips140/drbg/entropy_fips140.go",
		Old:  "var memory entropy.ScratchBuffer\n",
		New:  "var memory = sync.OnceValue(func() *entropy.ScratchBuffer { return new(entropy.ScratchBuffer) })\n",
		Why:  "See above.",
	},
	{
		File: "crypto/internal/fips140/drbg/entropy_fips140.go",
		Old:  "entropy.Seed(&memory)", New: "entropy.Seed(memory())", Count: 2,
		Why: "See above.",
	},
	{
		File: "runtime/mgcpacer.go",
		Old:  "\tif p == \"\" || p == \"off\" {\n\t\treturn math.MaxInt64\n",
		New:  "\tif p == \"\" {\n\t\treturn tailorMemoryLimit()\n\t}\n\tif p == \"off\" {\n\t\treturn math.MaxInt64\n",
		Why:  "GOMEMLIMIT follows the machine's memory unless set.",
	},
	{
		File: "runtime/mgcpacer.go",
		Old:  "\tif nonHeapMemory+overage >= memoryLimit {\n", New: "\tlowest := c.heapMarked + tailorRunway(c.test)\n\tif nonHeapMemory+overage >= memoryLimit {\n",
		Why: "Beyond the limit, when the heap cannot be smaller, the collector would begin anew at each allocation. It lets the heap grow a little in between, until the machine's memory ends.",
	},
	{
		File: "runtime/mgcpacer.go",
		Old:  "\t\treturn c.heapMarked\n\t}\n\n\t// Compute the goal", New: "\t\treturn lowest\n\t}\n\n\t// Compute the goal",
		Why: "See above.",
	},
	{
		File: "runtime/mgcpacer.go",
		Old:  "\tif goal < c.heapMarked {\n\t\tgoal = c.heapMarked\n\t}\n\treturn goal\n", New: "\tif goal < lowest {\n\t\tgoal = lowest\n\t}\n\treturn goal\n",
		Why: "See above.",
	},
	{
		File: "runtime/mgcpacer.go",
		Old:  "\t\tif extHeapGoal > hardGoal {\n",
		New:  "\t\tif limit := int64(c.memoryLimitHeapGoal()); !c.test && hardGoal > limit {\n\t\t\thardGoal = max(limit, heapGoal)\n\t\t}\n\t\tif extHeapGoal > hardGoal {\n",
		Why:  "A heap that turns out to have grown may become twice as large as intended while it is marked, but not larger than the machine's memory.",
	},
	{
		File: "runtime/mgcmark.go",
		Old:  "\t\tdebtBytes = int64(assistBytesPerWork * float64(scanWork))\n",
		New:  "\t\tdebtBytes = min(int64(assistBytesPerWork*float64(scanWork)), debtBytes+tailorMaxCredit)\n",
		Why:  "When little marking is expected to be left, a little help was worth the right to allocate hundreds of megabytes, which a worker on another processor would have cut short.",
	},
	{
		File: "runtime/mgcmark.go",
		Old:  "\tgp.gcAssistBytes += 1 + int64(assistBytesPerWork*float64(workDone))\n",
		New:  "\tgp.gcAssistBytes = min(gp.gcAssistBytes+1+int64(assistBytesPerWork*float64(workDone)), tailorMaxCredit)\n",
		Why:  "See above.",
	},
	{
		File: "runtime/mgclimit.go",
		Old:  "\treturn l.enabled.Load()\n", New: "\treturn l.test && l.enabled.Load()\n",
		Why: "Allocations always help the collector. The limit on its time lets the heap grow meanwhile, up to what a machine does not have, and counts on a worker that takes turns with a goroutine that does not yield.",
	},
	{
		File: "runtime/proc.go",
		Old:  "\t\tmaxstacksize = 1000000000\n", New: "\t\tmaxstacksize = tailorMaxStack()\n",
		Why: "A runaway recursion is reported before it takes all memory.",
	},
}

// ModuleEdits are the edits of the modules that the guest's packages use; File
// begins with the import path.
var ModuleEdits = []Edit{
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/tcpip.go", Old: "\t\"net\"\n", New: "",
		Why: "Package net imports the network stack, so that must not import package net.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/tcpip.go",
		Old:  "make(net.HardwareAddr, LinkAddressSize)", New: "make([]byte, LinkAddressSize)",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/stack/stack.go",
		Old:  "\t\t\topts.DefaultIPTables = DefaultTables\n",
		New:  "\t\t\topts.DefaultIPTables = func(tcpip.Clock, *rand.Rand) *IPTables { return &IPTables{} }\n",
		Why:  "There is no packet filter, and no way to set one up.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/stack/neighbor_cache.go",
		Old:  "make(map[tcpip.Address]*neighborEntry, NeighborCacheSize)", New: "make(map[tcpip.Address]*neighborEntry)",
		Why: "Room for 512 neighbours at once is 40 KB, twice, that each collection looks through.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/stack/iptables.go",
		Old:  "pkt *PacketBuffer) bool {\n\tswitch pkt.NetworkProtocolNumber {\n",
		New:  "pkt *PacketBuffer) bool {\n\tif true {\n\t\treturn true\n\t}\n\tswitch pkt.NetworkProtocolNumber {\n",
		Why:  "See above: this is the question whether to look at the packet filter, asked four times a packet.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/network/ipv4/ipv4.go",
		Old:  "\treturn e.forwarding.Load() == forwardingEnabled\n", New: "\treturn false\n",
		Why: "A guest is a host, not a router: what forwards packets is not linked.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/network/ipv4/ipv4.go",
		Old:  "\treturn e.multicastForwarding.Load() == forwardingEnabled\n", New: "\treturn false\n",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/network/ipv4/icmp.go",
		Old:  "\t\tif defaultHandlerHandled || localAddressTemporary {\n", New: "\t\tif defaultHandlerHandled || localAddressTemporary && !e.nic.IsLoopback() {\n",
		Why: "What the stack sends to its own address on eth0 takes the way over the loopback interface, where the address counts as picked up. It is answered all the same.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/network/ipv6/ipv6.go",
		Old:  "\treturn e.forwarding.Load() == forwardingEnabled\n", New: "\treturn false\n",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/network/ipv6/ipv6.go",
		Old:  "\treturn e.multicastForwarding.Load() == forwardingEnabled\n", New: "\treturn false\n",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/connect.go",
		Old:  "\tif e.rcv.RcvNxt != e.snd.MaxSentAck {\n",
		New:  "\tif e.rcv.RcvNxt != e.snd.MaxSentAck && (TailorDelayAck == nil || !TailorDelayAck(e, e.snd.MaxSentAck.Size(e.rcv.RcvNxt))) {\n",
		Why:  "Acknowledgements may wait for an answer to carry them: netstack/ack_guest.go.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/connect.go",
		Old:  "// handleSegment handles a given segment and notifies the worker goroutine if\n",
		New: "// TailorDelayAck takes over an acknowledgement or returns false.\n" +
			"var TailorDelayAck func(e *Endpoint, unacked seqnum.Size) bool\n\n" +
			"// TailorAck sends an acknowledgement if one is due.\n" +
			"func (e *Endpoint) TailorAck() {\n\te.LockUser()\n" +
			"\tif e.EndpointState().connected() && e.rcv.RcvNxt != e.snd.MaxSentAck {\n\t\te.snd.sendAck()\n\t}\n" +
			"\te.UnlockUser()\n}\n\n" +
			"// TailorEnd ends a connection that has nothing left to deliver: in TIME-WAIT as its timer does.\n" +
			"func (e *Endpoint) TailorEnd() {\n" +
			"\tif e.EndpointState() == StateTimeWait {\n\t\te.timeWaitTimerExpired()\n\t\treturn\n\t}\n\te.Abort()\n}\n\n" +
			"// handleSegment handles a given segment and notifies the worker goroutine if\n",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/dispatcher.go",
		Old:  "func (p *processor) start(wg *sync.WaitGroup) {\n",
		New:  "// TailorWorker is called on the goroutines that process segments.\nvar TailorWorker func()\n\nfunc (p *processor) start(wg *sync.WaitGroup) {\n\tTailorWorker()\n",
		Why:  "The event loop rings for these goroutines when they park, if at all: machine/event.go.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/snd.go",
		Old:  "\t\t\t\t// With TCP_CORK, hold back until minimum of the available\n",
		New:  "\t\t\t\tif TailorHold != nil && TailorHold(s.ep) {\n\t\t\t\t\treturn false\n\t\t\t\t}\n\t\t\t\t// With TCP_CORK, hold back until minimum of the available\n",
		Why:  "A segment that is not full may wait for more from the same goroutine: netstack/hold_guest.go.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/snd.go",
		Old:  "// sendData sends new data segments. It is called when data becomes available or\n",
		New: "// TailorHold reports whether a segment that is not full is to wait for TailorPush.\n" +
			"var TailorHold func(e *Endpoint) bool\n\n" +
			"// TailorPush sends what was held back.\n" +
			"func (e *Endpoint) TailorPush() {\n\te.LockUser()\n" +
			"\tif e.snd != nil && !e.EndpointState().closed() {\n\t\te.sendData(nil)\n\t}\n" +
			"\te.UnlockUser()\n}\n\n" +
			"// sendData sends new data segments. It is called when data becomes available or\n",
		Why: "See above.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/tcpip/transport/tcp/endpoint.go",
		Old:  "\t// Add data to the send queue.\n\tsize := int(buf.Size())\n",
		New: "\t// Add data to the send queue.\n\tsize := int(buf.Size())\n" +
			"\tif last := e.snd.writeList.Back(); last != nil && !e.snd.isAssignedSequenceNumber(last) && last.payloadSize()+size <= 1024 {\n" +
			"\t\tlast.pkt.Data().AppendView(buffer.NewViewWithData(buf.Flatten()))\n\t\tbuf.Release()\n" +
			"\t\tlast.dataMemSize = last.pkt.MemSize()\n\t\te.sndQueueInfo.SndBufUsed += size\n\t\treturn last, size, nil\n\t}\n",
		Why: "Small writes that wait to be sent share a segment, as on Linux: a segment costs some 700 bytes that the limit of the send buffer does not count, so that writes of a byte each filled the memory.",
	},
	{
		File: "gvisor.dev/gvisor/pkg/sync/fence.go",
		Old:  "func MemoryFenceReads()\n", New: "//\n//go:noinline\nfunc MemoryFenceReads() {}\n",
		Why: "It was assembly, as a fence for the compiler; a call is one too.",
	},
}

// substitutes are packages of modules that images have another one for.
var substitutes = map[string]string{
	"gvisor.dev/gvisor/pkg/log": tailor.Module + "/netstack/quietlog",
}

// homes are the standard library's packages that packages of ours become part of
// in images that have them. In its folder there is what is internal to Go's
// cryptography, and the assembler can run, as it cannot in a folder that only the
// overlay has.
var homes = map[string]string{
	tailor.Module + "/block/crypt/fastaes":        "crypto/subtle",
	tailor.Module + "/boot/volumes/luks/gocrypto": "crypto/subtle",
}

// shortPaths are the import paths that modules have in images, below Prefix:
// short ones, because each function's name carries one.
var shortPaths = map[string]string{
	"gvisor.dev/gvisor/pkg":   "gvisor",
	"github.com/google/btree": "btree",
	"golang.org/x/exp":        "exp",
	"golang.org/x/time":       "time",
}

// openIn makes a build context read from fsys.
func openIn(fsys fs.FS) func(path string) (io.ReadCloser, error) {
	return func(path string) (io.ReadCloser, error) { return fsys.Open(path) }
}
