package libos

import (
	"syscall"
	"testing"
	"unsafe"
)

// The benchmarks set a call of libos beside the same call of Linux.

func BenchmarkPread(b *testing.B) {
	var buf [4096]byte
	p := uintptr(unsafe.Pointer(&buf))
	b.Run("libos", func(b *testing.B) {
		reset(b)
		fd := openTest(b, "/tmp/f", oRDWR|oCREAT)
		Enter(nr_pwrite64, fd, p, 4096, 0, 0, 0)
		for b.Loop() {
			Enter(nr_pread64, fd, p, 4096, 0, 0, 0)
		}
	})
	b.Run("linux", func(b *testing.B) {
		fd, err := syscall.Open("/proc/self/exe", syscall.O_RDONLY, 0)
		if err != nil {
			b.Fatal(err)
		}
		defer syscall.Close(fd)
		for b.Loop() {
			syscall.RawSyscall6(nr_pread64, uintptr(fd), p, 4096, 0, 0, 0)
		}
	})
	_ = buf[0]
}

func BenchmarkStat(b *testing.B) {
	path, st := str("/etc/hosts"), new(stat)
	b.Run("libos", func(b *testing.B) {
		reset(b)
		for b.Loop() {
			Enter(nr_newfstatat, cwd, ptr(path), ptr(st), 0, 0, 0)
		}
	})
	b.Run("linux", func(b *testing.B) {
		for b.Loop() {
			syscall.RawSyscall6(nr_newfstatat, cwd, ptr(path), ptr(st), 0, 0, 0)
		}
	})
}

func BenchmarkGetpid(b *testing.B) {
	b.Run("libos", func(b *testing.B) {
		for b.Loop() {
			Enter(nr_getpid, 0, 0, 0, 0, 0, 0)
		}
	})
	b.Run("linux", func(b *testing.B) {
		for b.Loop() {
			syscall.RawSyscall6(nr_getpid, 0, 0, 0, 0, 0, 0)
		}
	})
}
