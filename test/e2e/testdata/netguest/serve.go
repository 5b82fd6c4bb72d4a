package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// The ports that serve listens on, TCP unless noted. The small ones are those
// of RFC 862 to 864, with behaviour to match.
const (
	portEcho    = ":7" // and UDP
	portDiscard = ":9" // prints how each connection ended
	portPour    = ":19"
	portHTTP    = ":80"
)

var poured atomic.Int64 // bytes written to pour's connections

func init() {
	register("serve", func([]string) { serve() })
	register("late", func([]string) {
		time.Sleep(time.Second)
		l, err := net.Listen("tcp", portEcho)
		check(err)
		c, err := l.Accept()
		check(err)
		echo(c)
	})
}

func serve() {
	for port, f := range map[string]func(net.Conn){portEcho: echo, portDiscard: discard, portPour: pour} {
		l, err := net.Listen("tcp", port)
		check(err)
		go acceptAll(l, f)
	}
	u, err := net.ListenPacket("udp", portEcho)
	check(err)
	go echoPackets(u)
	l, err := net.Listen("tcp", portHTTP)
	check(err)
	go func() { check(http.Serve(l, handler())) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("ready")
	<-stop
}

func acceptAll(l net.Listener, f func(net.Conn)) {
	for {
		c, err := l.Accept()
		check(err)
		go f(c)
	}
}

// echo returns what it is sent until the peer has said all, and then says so
// too: a half-close in both directions.
func echo(c net.Conn) {
	defer c.Close()
	if _, err := io.Copy(c, c); err == nil {
		c.(*net.TCPConn).CloseWrite()
	}
}

// discard first says one byte, so that the client knows of it: what a client
// that resets its connection at once has sent may never arrive.
func discard(c net.Conn) {
	defer c.Close()
	if _, err := c.Write([]byte("!")); err != nil {
		fmt.Println("discard:", err)
		return
	}
	n, err := io.Copy(io.Discard, c)
	fmt.Printf("discarded %d: %v\n", n, err)
}

func pour(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := c.Write(buf)
		poured.Add(int64(n))
		if err != nil {
			return
		}
	}
}

func echoPackets(c net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buf)
		check(err)
		if _, err := c.WriteTo(buf[:n], from); err != nil {
			fmt.Printf("echo of %d bytes: %v\n", n, err)
		}
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello\n") })
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		h := sha256.New()
		n, err := io.Copy(h, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, h.Sum(nil), err)
	})
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.FormValue("bytes"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.CopyN(w, noise(r.FormValue("seed")), n)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(map[string]int64{"poured": poured.Load(), "goroutines": int64(runtime.NumGoroutine())})
	})
	return mux
}

// noise returns bytes that depend on the seed only; the test makes the same.
func noise(seed string) io.Reader { return rand.NewChaCha8(sha256.Sum256([]byte(seed))) }
