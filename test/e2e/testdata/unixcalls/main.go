// Command unixcalls makes system calls past the standard library.
package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	efd, err := unix.Eventfd(0, unix.EFD_NONBLOCK)
	check(err)
	_, err = unix.Write(efd, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	check(err)
	fds := []unix.PollFd{{Fd: int32(efd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 1000)
	check(err)
	fmt.Println("poll", n, fds[0].Revents)

	mem, err := unix.Mmap(-1, 0, 8192, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	check(err)
	mem[8191] = 7
	fmt.Println("mmap", len(mem), unix.Munmap(mem))

	var st unix.Stat_t
	check(unix.Stat("/etc", &st))
	fmt.Println("stat", st.Mode&unix.S_IFMT == unix.S_IFDIR)
	_, err = unix.FcntlInt(1, unix.F_GETFL, 0)
	fmt.Println("fcntl", err)
}

func check(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
