// Command rawcalls makes a system call by an instruction of its own, as the
// assembly of some modules does: rawcalls NUMBER prints the result.
package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// raw makes a system call with a path as its second argument.
func raw(num uintptr, path *byte) int64

func main() {
	num, err := strconv.ParseUint(os.Args[1], 0, 64)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	path := []byte("/etc/hostname\x00")
	fmt.Println("result", raw(uintptr(num), &path[0]))
	r, e, s := unix.Getresuid()
	unix.Sync()
	fmt.Println("x/sys", unix.Getpid(), unix.Getuid(), r, e, s)
}
