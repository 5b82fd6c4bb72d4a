package main

import (
	"fmt"
	"net"
	"time"
)

func init() {
	register("dial-pieces", func(args []string) { dialPieces(args[0], number(args[1])) })
	register("dial-compute", func(args []string) { dialCompute(args[0], number(args[1])) })
}

// dialPieces writes n single bytes, one directly after the other.
func dialPieces(addr string, n int) {
	c, err := net.Dial("tcp", addr)
	check(err)
	for i := range n {
		_, err := c.Write([]byte{byte(i)})
		check(err)
	}
	check(c.(*net.TCPConn).CloseWrite())
	_, err = c.Read(make([]byte, 1))
	fmt.Println("end:", err)
}

// dialCompute writes a byte and then computes for so many milliseconds, without
// an operation that could block.
func dialCompute(addr string, ms int) {
	c, err := net.Dial("tcp", addr)
	check(err)
	_, err = c.Write([]byte("!"))
	check(err)
	for begin := time.Now(); time.Since(begin) < time.Duration(ms)*time.Millisecond; {
	}
	_, err = c.Write([]byte("!"))
	check(err)
	check(c.Close())
}
