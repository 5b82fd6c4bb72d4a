package main

import (
	"io"
	"log"
	"net"
)

// echo sends back what it gets, on a port of the loopback that only a forwarded
// connection reaches.
func echo() {
	l, err := net.Listen("tcp", "127.0.0.1:7")
	if err != nil {
		log.Fatal(err)
	}
	log.Print("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			io.Copy(c, c)
		}()
	}
}
