package spt

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
)

// Check reports whether guests can be run as processes here.
func Check() error {
	if min := sysctl("vm/mmap_min_addr"); min > abi.ClockAddr {
		return hint.Errorf("sudo sysctl -w vm.mmap_min_addr=65536",
			"target spt needs addresses from %#x on, and vm.mmap_min_addr is %d", abi.ClockAddr, min)
	}
	if sysctl("vm/memfd_noexec") >= 2 {
		return hint.Errorf("sudo sysctl -w vm.memfd_noexec=1", "target spt starts a program from memory, and vm.memfd_noexec forbids that")
	}
	if !hasAction(unix.SECCOMP_RET_KILL_PROCESS) {
		return hint.Errorf("use a kernel with CONFIG_SECCOMP_FILTER, or another target with -t", "target spt needs seccomp filters, which this kernel has not")
	}
	if !hasFSGSBase() {
		return hint.Errorf("update the kernel to 5.9 or newer, or use another target with -t",
			"target spt needs the instruction WRFSBASE, which this kernel or processor does not let programs use")
	}
	return nil
}

// sysctl returns a number of /proc/sys, zero if it is not there.
func sysctl(name string) uint64 {
	text, _ := os.ReadFile("/proc/sys/" + name)
	n, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n
}

// hasFSGSBase reports whether programs may write the base of FS
// (arch/x86/include/uapi/asm/hwcap2.h).
func hasFSGSBase() bool {
	const atHWCAP2, fsgsbase = 26, 1 << 1
	aux, err := unix.Auxv()
	if err != nil {
		return true // it will show
	}
	for _, a := range aux {
		if a[0] == atHWCAP2 {
			return a[1]&fsgsbase != 0
		}
	}
	return false
}
