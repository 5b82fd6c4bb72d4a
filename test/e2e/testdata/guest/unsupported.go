package main

import (
	"fmt"
	"os/exec"
	"syscall"
)

func init() {
	register("unsupported", func([]string) {
		_, _, errno := syscall.Syscall(syscall.SYS_PTRACE, 0, 0, 0)
		fmt.Println(errno)
		_, _, errno = syscall.Syscall(syscall.SYS_PTRACE, 0, 0, 0)
		fmt.Println(errno)
		fmt.Println(exec.Command("/bin/true").Run() != nil)
	})
}
