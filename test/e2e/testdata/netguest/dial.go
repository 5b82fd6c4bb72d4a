package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// patience bounds each step of a client.
const patience = 15 * time.Second

func init() {
	register("dial-echo", func(args []string) { dialEcho(args[0], number(args[1])) })
	register("dial-refused", func(args []string) { dialRefused(args) })
	register("dial-many", func(args []string) { dialMany(args[0], number(args[1])) })
	register("dial-churn", func(args []string) { dialChurn(args[0], number(args[1])) })
	register("dial-deadline", func(args []string) { dialDeadline(args[0]) })
	register("dial-reset", func(args []string) { dialReset(args[0]) })
	register("dial-keepalive", func(args []string) { dialKeepAlive(args[0]) })
	register("loopback", func(args []string) { loopback(number(args[0]), number(args[1])) })
	register("http-get", func(args []string) { httpGet(args[0]) })
	register("udp-echo", func(args []string) { udpEcho(args[0], args[1:]) })
	register("udp-refused", func(args []string) { udpRefused(args[0]) })
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

func dial(addr string) *net.TCPConn {
	c, err := net.DialTimeout("tcp", addr, patience)
	check(err)
	check(c.SetDeadline(time.Now().Add(patience)))
	return c.(*net.TCPConn)
}

func dialEcho(addr string, n int) {
	c := dial(addr)
	sent, got := sha256.New(), sha256.New()
	go func() {
		_, err := io.Copy(io.MultiWriter(c, sent), io.LimitReader(noise(addr), int64(n)))
		check(err)
		check(c.CloseWrite())
	}()
	m, err := io.Copy(got, c)
	check(err)
	checkf(m == int64(n), "%d bytes came back of %d", m, n)
	checkf(bytes.Equal(got.Sum(nil), sent.Sum(nil)), "other bytes came back")
	check(c.Close())
	fmt.Println("echoed", m, "from", c.RemoteAddr())
}

func dialRefused(addrs []string) {
	for _, addr := range addrs {
		begin := time.Now()
		_, err := net.DialTimeout("tcp", addr, patience)
		fmt.Println(errors.Is(err, syscall.ECONNREFUSED), time.Since(begin) < 2*time.Second, err)
	}
}

// dialMany has n connections open at a time, says something on each, last
// opened first, and sees it echoed.
func dialMany(addr string, n int) {
	conns := make([]*net.TCPConn, n)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { conns[i] = dial(addr) })
	}
	wg.Wait()
	for i := len(conns) - 1; i >= 0; i-- {
		wg.Go(func() {
			want := "connection " + strconv.Itoa(i)
			_, err := io.WriteString(conns[i], want)
			check(err)
			check(conns[i].CloseWrite())
			got, err := io.ReadAll(conns[i])
			check(err)
			checkf(string(got) == want, "got %q, want %q", got, want)
			check(conns[i].Close())
		})
	}
	wg.Wait()
	fmt.Println("all", n, "answered")
}

// dialChurn opens and closes n connections, a few at a time.
func dialChurn(addr string, n int) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for range next {
				c := dial(addr)
				_, err := c.Write([]byte("x"))
				check(err)
				var b [1]byte
				_, err = io.ReadFull(c, b[:])
				check(err)
				check(c.Close())
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	fmt.Println("churned", n)
}

// dialDeadline reads from a server that says nothing, and writes to one that
// does not read.
func dialDeadline(addr string) {
	c := dial(addr)
	for _, d := range []time.Duration{-time.Second, 50 * time.Millisecond} {
		begin := time.Now()
		check(c.SetReadDeadline(begin.Add(d)))
		_, err := c.Read(make([]byte, 1))
		took := time.Since(begin)
		checkf(errors.Is(err, os.ErrDeadlineExceeded), "read: %v", err)
		checkf(took >= d && took < time.Second, "a read deadline of %v came after %v", d, took)
	}
	begin := time.Now()
	check(c.SetWriteDeadline(begin.Add(300 * time.Millisecond)))
	n, err := io.Copy(c, noise("deadline"))
	took := time.Since(begin)
	checkf(errors.Is(err, os.ErrDeadlineExceeded), "write: %v", err)
	checkf(took >= 300*time.Millisecond && took < 1500*time.Millisecond, "a write deadline of 300 ms came after %v", took)
	checkf(n > 0 && n < 64<<20, "%d bytes went into a connection that nobody reads", n)
	fmt.Println("deadlines kept")
}

// dialReset writes until the server, which resets the connection, has done so.
func dialReset(addr string) {
	c := dial(addr)
	_, err := io.Copy(c, noise("reset"))
	fmt.Println(errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), err)
	_, err = c.Read(make([]byte, 1))
	fmt.Println(err != nil, err)
}

// dialKeepAlive waits on a connection whose peer goes silent.
func dialKeepAlive(addr string) {
	c := dial(addr)
	check(c.SetDeadline(time.Time{}))
	check(c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 2}))
	fmt.Println("waiting")
	begin := time.Now()
	_, err := c.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, syscall.ETIMEDOUT), "after", time.Since(begin).Round(time.Second), err)
}

// loopback passes 4 MiB through the guest's own loopback, in pieces of so many
// bytes, and prints the longest time that a read took, in milliseconds.
func loopback(write, read int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	const size = 4 << 20
	go func() {
		c := dial(l.Addr().String())
		for range size / write {
			_, err := c.Write(make([]byte, write))
			check(err)
		}
		check(c.Close())
	}()
	c, err := l.Accept()
	check(err)
	buf := make([]byte, read)
	var worst time.Duration
	for n := 0; n < size; {
		begin := time.Now()
		k, err := c.Read(buf)
		check(err)
		worst = max(worst, time.Since(begin))
		n += k
	}
	fmt.Println("worst", worst.Milliseconds())
}

func httpGet(url string) {
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	check(err)
	body, err := io.ReadAll(resp.Body)
	check(err)
	fmt.Printf("%s %q\n", resp.Status, body)
}

func udpEcho(addr string, sizes []string) {
	c, err := net.Dial("udp", addr)
	check(err)
	buf := make([]byte, 1<<16)
	for _, size := range sizes {
		want := make([]byte, number(size))
		io.ReadFull(noise(size), want)
		got := buf[:0]
		// A datagram may be lost: that is no reason to fail, three are.
		for try := 0; try < 3 && !bytes.Equal(got, want); try++ {
			_, err := c.Write(want)
			check(err)
			check(c.SetReadDeadline(time.Now().Add(2 * time.Second)))
			n, err := c.Read(buf)
			if err == nil {
				got = buf[:n]
			} else if !errors.Is(err, os.ErrDeadlineExceeded) {
				check(err)
			}
		}
		checkf(bytes.Equal(got, want), "a datagram of %s bytes was not echoed, got %d", size, len(got))
		fmt.Println("echoed", size)
	}
	// One byte more than there is room for: IPv4 counts its header, IPv6 does not.
	most := 65535 - 8 - 20
	if c.RemoteAddr().(*net.UDPAddr).IP.To4() == nil {
		most = 65535 - 8
	}
	_, err = c.Write(make([]byte, most+1))
	fmt.Println("too long:", err)
}

// udpRefused sends to a port that nobody has, and learns of it.
func udpRefused(addr string) {
	c, err := net.Dial("udp", addr)
	check(err)
	for range 20 {
		_, err = c.Write([]byte("x"))
		if err == nil {
			check(c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)))
			_, err = c.Read(make([]byte, 1))
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED), err)
}
