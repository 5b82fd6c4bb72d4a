// Command peer is one end of a bulk TCP transfer. The same program runs as the
// guest, as the plain process that the guest is compared with, and as the
// client of both.
//
// Usage:
//
//	peer serve ADDR             send or take what a client asks for
//	peer in ADDR SECONDS        send to the server, print the rate
//	peer out ADDR SECONDS       receive from the server, print the rate
//	peer wait ADDR SECONDS      return once the server takes connections
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// chunk is the size in bytes of each read and write.
const chunk = 64 << 10

// The first byte of a connection says who sends.
const (
	toServer = 'i'
	toClient = 'o'
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1])
	}
	if len(args) != 3 {
		return errors.New("usage: peer serve ADDR | in|out|wait ADDR SECONDS")
	}
	seconds, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	d := time.Duration(seconds * float64(time.Second))
	switch args[0] {
	case "in":
		return in(args[1], d)
	case "out":
		return out(args[1], d)
	case "wait":
		return wait(args[1], d)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

func serve(addr string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	fmt.Println("listening on", ln.Addr())
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			if err := transfer(conn); err != nil && !errors.Is(err, io.EOF) {
				fmt.Fprintln(os.Stderr, "peer:", err)
			}
		}()
	}
}

// transfer does what the first byte of a connection asks for.
func transfer(conn net.Conn) error {
	var what [1]byte
	if _, err := io.ReadFull(conn, what[:]); err != nil {
		return err
	}
	if what[0] == toClient {
		send(conn, time.Time{}) // until the client has had enough
		return nil
	}
	n, err := receive(conn, time.Time{})
	if err != nil {
		return err
	}
	return binary.Write(conn, binary.BigEndian, n)
}

// send writes until the deadline or an error; a zero deadline is none.
func send(conn net.Conn, deadline time.Time) {
	buf := make([]byte, chunk)
	for deadline.IsZero() || time.Now().Before(deadline) {
		if _, err := conn.Write(buf); err != nil {
			return
		}
	}
}

// receive reads until the end or the deadline and returns the bytes.
func receive(conn net.Conn, deadline time.Time) (n int64, err error) {
	buf := make([]byte, chunk)
	for deadline.IsZero() || time.Now().Before(deadline) {
		m, err := conn.Read(buf)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// in sends for d; the server's count, which comes when it has everything, ends
// the time.
func in(addr string, d time.Duration) error {
	conn, err := dial(addr, toServer, d)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	send(conn, start.Add(d))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	var n int64
	if err := binary.Read(conn, binary.BigEndian, &n); err != nil {
		return fmt.Errorf("the server's count: %w", err)
	}
	return report(n, time.Since(start))
}

// out receives for d.
func out(addr string, d time.Duration) error {
	conn, err := dial(addr, toClient, d)
	if err != nil {
		return err
	}
	defer conn.Close()
	start := time.Now()
	n, err := receive(conn, start.Add(d))
	if err != nil {
		return err
	}
	return report(n, time.Since(start))
}

func dial(addr string, what byte, d time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(d + 10*time.Second))
	_, err = conn.Write([]byte{what})
	return conn, err
}

func report(n int64, d time.Duration) error {
	if n == 0 {
		return errors.New("nothing was transferred")
	}
	fmt.Printf("%d bytes in %d ns\n", n, d.Nanoseconds())
	return nil
}

// wait dials until it is let in.
func wait(addr string, d time.Duration) error {
	for deadline := time.Now().Add(d); ; time.Sleep(2 * time.Millisecond) {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}
