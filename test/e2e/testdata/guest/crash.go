package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"unsafe"
)

// SAFETY: none of it is: the accesses are meant to fault.

type big struct{ x [100]int }

var (
	nilBig *big
	zero   int
	sink   any
)

//go:noinline
func recurse(n int) int {
	var b [100]int
	b[n%100] = n
	return recurse(n+1) + b[3]
}

func recovered(name string, f func()) {
	defer func() {
		err, _ := recover().(runtime.Error)
		fmt.Println(name+":", err)
	}()
	f()
}

// access calls f with a pointer to an address and never returns normally.
func poke(addr uintptr) {
	p := *(**byte)(unsafe.Pointer(&addr))
	*p = 1
}

//go:noinline
func textAddr() uintptr {
	f := textAddr
	return **(**uintptr)(unsafe.Pointer(&f))
}

// What a program does wrong before main, if T_INIT says so.
func init() {
	switch os.Getenv("T_INIT") {
	case "exit":
		os.Exit(5)
	case "panic":
		panic("too early")
	case "deadlock":
		<-make(chan int)
	}
}

func init() {
	register("recover", func([]string) {
		recovered("nil", func() { nilBig.x[3] = 1 })
		recovered("div", func() { fmt.Println(1 / zero) })
		recovered("index", func() { fmt.Println(make([]int, 3)[3+zero]) })
		var e *os.PathError
		recovered("method", func() { fmt.Println(errors.Is(e, e), e.Error()) })
		fmt.Println("done")
	})
	register("overflow", func([]string) { recurse(0) })
	register("wild", func([]string) {
		f := uintptr(0x5000000123)
		pf := &f
		(*(*func())(unsafe.Pointer(&pf)))()
	})
	register("throw", func([]string) { var mu sync.Mutex; mu.Unlock() })
	register("panic", func([]string) { panic("boo") })
	register("deadlock", func([]string) { select {} })
	register("exit", func(args []string) {
		n, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(n)
	})
	register("oom", func([]string) {
		var keep [][]byte
		for {
			keep = append(keep, make([]byte, 1<<20))
			sink = keep
		}
	})
	// The attacks: each must end in a fault, never in "SURVIVED".
	attack := func(name string, f func()) {
		register(name, func([]string) {
			f()
			fmt.Println("SURVIVED")
		})
	}
	attack("poke-text", func() { poke(textAddr()) })
	attack("poke-rodata", func() { s := "read-only data"; poke(uintptr(unsafe.Pointer(unsafe.StringData(s)))) })
	attack("poke-null", func() { poke(8) })
	attack("poke-system", func() { poke(0x20000) })
	attack("poke-stubs", func() { poke(0x22000) })
	attack("poke-bootinfo", func() { poke(0x13000) })
	attack("poke-clock", func() { poke(0x11000) })
	attack("poke-guard", func() { poke(0x30000) })
	attack("poke-high", func() { poke(1 << 40) })
	attack("exec-data", func() {
		code := []byte{0xc3, 0xc3, 0xc3, 0xc3} // RET
		p := uintptr(unsafe.Pointer(&code[0]))
		pf := &p
		(*(*func())(unsafe.Pointer(&pf)))()
	})
}
