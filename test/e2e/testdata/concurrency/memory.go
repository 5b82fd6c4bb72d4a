package main

import (
	"fmt"
	"io"
	"net"
	"time"
)

type link struct {
	next  *link
	extra [4]*link
}

var (
	chain   *link
	garbage []byte
)

// fill keeps more and more small objects, in a list that is slow to mark, with
// eight times as much garbage. It never yields, if that is "tight". It says at
// each MiB how much there is.
func fill(args []string) {
	const perMiB = 1 << 20 / 48
	for i := 1; ; i++ {
		n := &link{next: chain}
		n.extra[0] = n
		chain = n
		for range 8 {
			garbage = make([]byte, 48)
		}
		if i%perMiB == 0 {
			println("kept", i/perMiB)
			if args[0] != "tight" {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// hold is an echo server that has 32 KiB a connection.
func hold([]string) {
	l, err := net.Listen("tcp", ":7")
	check(err)
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		check(err)
		go func() {
			defer c.Close()
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c})
		}()
	}
}
