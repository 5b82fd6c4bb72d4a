// Package scrape serves the figures of package metrics by HTTP, at /metrics, to
// Prometheus and what reads its format, and says at /healthz that the program's
// event loop turns. It is linked into programs that are built with --metrics,
// and starts before main at the address that the parameter metrics gives.
package scrape

import (
	"container/list"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/boot/parameters"
	"github.com/tailor-os/tailor/metrics"
)

func init() {
	if address := parameters.Given().Get("metrics"); address != "" {
		start(address)
	}
}

// Bounds of what clients can make the server keep. An answer is some 20 KB.
const (
	maxConns   = 16
	maxHeader  = 4 << 10 // bytes, to which net/http adds as many
	maxRequest = 5 * time.Second
	maxIdle    = 2 * time.Minute // Prometheus asks every minute by default
)

// handler answers requests: whole ones, one at a time, since they ask all parts.
func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", metrics.ContentType)
		_, _ = w.Write(metrics.Write()) // a client that has gone needs no answer
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	return mux
}

// newServer returns a server that no client keeps busy.
func newServer() *http.Server {
	s := &http.Server{
		Handler: handler(), ErrorLog: log.New(io.Discard, "", 0), // strangers write no lines
		ReadTimeout: maxRequest, WriteTimeout: maxRequest, IdleTimeout: maxIdle, MaxHeaderBytes: maxHeader,
	}
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	return s
}

// start serves at address, which says HOST:PORT, from now on.
func start(address string) {
	l, err := net.Listen("tcp", address)
	if err == nil {
		go serve(l)
		return
	}
	if !errors.Is(err, syscall.EADDRNOTAVAIL) {
		println("tailor: metrics:", err.Error())
		return
	}
	go listenLater(address)
}

// addressWait is for how long an address of the machine's may be missing.
const addressWait = time.Minute

// listenLater serves at an address that the network has yet to give.
func listenLater(address string) {
	var l net.Listener
	err := error(syscall.EADDRNOTAVAIL)
	for wait := 50 * time.Millisecond; err != nil && wait < addressWait; wait *= 2 {
		time.Sleep(wait)
		l, err = net.Listen("tcp", address)
	}
	if err != nil {
		println("tailor: metrics:", err.Error())
		return
	}
	serve(l)
}

func serve(l net.Listener) {
	if err := newServer().Serve(&bounded{Listener: l}); err != nil {
		println("tailor: metrics:", err.Error())
	}
}

// A bounded listener has at most maxConns connections open. For one more, it closes
// the oldest: a scrape takes milliseconds, so that slow clients, however many, are
// in nobody's way.
type bounded struct {
	net.Listener
	mu   sync.Mutex
	open list.List // of *conn, oldest first
}

// A conn leaves its listener's list when it is closed.
type conn struct {
	net.Conn
	l  *bounded
	at *list.Element
}

// Accept implements [net.Listener].
func (l *bounded) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	var oldest *conn
	if l.open.Len() >= maxConns {
		oldest = l.open.Front().Value.(*conn)
	}
	n := &conn{Conn: c, l: l}
	n.at = l.open.PushBack(n)
	l.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // it is gone either way
	}
	return n, nil
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.l.mu.Lock()
	c.l.open.Remove(c.at)
	c.l.mu.Unlock()
	return c.Conn.Close()
}
