// Loopback talks to itself over the loopback interface.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
)

func main() {
	l, err := net.Listen("tcp", "localhost:0")
	check(err)
	go func() {
		c, err := l.Accept()
		check(err)
		io.Copy(c, c)
		c.Close()
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	fmt.Fprint(c, "over tcp\n")
	check(c.(*net.TCPConn).CloseWrite())
	b, err := io.ReadAll(c)
	check(err)
	fmt.Print("echoed ", string(b))

	p, err := net.ListenPacket("udp", "[::1]:0")
	check(err)
	u, err := net.Dial("udp", p.LocalAddr().String())
	check(err)
	fmt.Fprint(u, "over udp\n")
	buf := make([]byte, 100)
	n, from, err := p.ReadFrom(buf)
	check(err)
	_, err = p.WriteTo(buf[:n], from)
	check(err)
	n, err = u.Read(buf)
	check(err)
	fmt.Print("echoed ", string(buf[:n]))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(98)
	}
}
