package main

import (
	"errors"
	"log"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// spare is how many connections that had to go may still be closing, before the
// next one is accepted.
const spare = 32

var errTooMuch = errors.New("more bytes than it may send")

// A crowd bounds the connections that are open, of all peers and of each one.
// When it is full, who has been there longest gives way, of the peer that has most: to
// hold a place one has to come again and again, and who is quick is served.
// Several goroutines may use it.
type crowd struct {
	max, perPeer int
	slots        chan struct{} // one for each visitor whose goroutine has not ended

	mu    sync.Mutex
	all   int
	peers map[netip.Prefix][]*visitor // oldest first
	gone  int64                       // visitors that gave way
	over  bool
}

func newCrowd(most, perPeer int) *crowd {
	return &crowd{max: most, perPeer: perPeer, slots: make(chan struct{}, most+spare), peers: map[netip.Prefix][]*visitor{}}
}

// A visitor is a connection in a crowd.
type visitor struct {
	net.Conn
	crowd *crowd // nil for a connection that was not accepted
	peer  netip.Prefix
	left  int64 // bytes that it may still send; for one reader at a time
	once  sync.Once
}

// Read reads what the peer may send.
func (v *visitor) Read(p []byte) (int, error) {
	if v.left <= 0 {
		return 0, errTooMuch
	}
	n, err := v.Conn.Read(p[:min(int64(len(p)), v.left)])
	v.left -= int64(n)
	return n, err
}

// Close ends the connection and frees its place.
func (v *visitor) Close() error {
	err := v.Conn.Close()
	if v.crowd != nil {
		v.once.Do(func() {
			v.crowd.leave(v)
			<-v.crowd.slots
		})
	}
	return err
}

// abort ends the connection at once: the peer gets a reset, and nothing of the
// connection is kept to wait for its answer.
func (v *visitor) abort() {
	if c, ok := v.Conn.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	v.Conn.Close()
}

// enter makes a connection a visitor, for which the caller has a slot. It may send
// so many bytes.
func (c *crowd) enter(conn net.Conn, budget int64) *visitor {
	v := &visitor{Conn: conn, crowd: c, peer: peerOf(conn.RemoteAddr()), left: budget}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(c.peers[v.peer]) >= c.perPeer:
		c.dismiss(v.peer)
	case c.all >= c.max:
		c.dismiss(c.largest())
	}
	if c.over {
		v.abort()
	}
	c.peers[v.peer] = append(c.peers[v.peer], v)
	c.all++
	return v
}

// largest returns the peer with the most visitors; among equals, any.
func (c *crowd) largest() (peer netip.Prefix) {
	for p, list := range c.peers {
		if len(list) > len(c.peers[peer]) {
			peer = p
		}
	}
	return peer
}

// dismiss closes the oldest connection of a peer.
func (c *crowd) dismiss(peer netip.Prefix) {
	v := c.peers[peer][0]
	c.remove(v, 0)
	c.gone++
	v.abort()
}

func (c *crowd) leave(v *visitor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.peers[v.peer], v); i >= 0 {
		c.remove(v, i)
	}
}

func (c *crowd) remove(v *visitor, i int) {
	c.all--
	if c.peers[v.peer] = slices.Delete(c.peers[v.peer], i, i+1); len(c.peers[v.peer]) == 0 {
		delete(c.peers, v.peer)
	}
}

// close ends all connections, and those that still come.
func (c *crowd) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	for _, list := range c.peers {
		for _, v := range list {
			v.abort()
		}
	}
}

// figures returns how many are open, and how many had to give way so far.
func (c *crowd) figures() (open, gone int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.all), c.gone
}

// peerOf returns whom an address counts for: an IPv4 address, or the network of
// an IPv6 one, of which one host has 2^64.
func peerOf(addr net.Addr) netip.Prefix {
	a, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := a.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	peer, _ := ip.Prefix(bits) // which has that many
	return peer
}

// A crowdListener accepts visitors.
type crowdListener struct {
	net.Listener
	crowd  *crowd
	budget int64 // bytes of each
	log    *log.Logger
}

// each serves visitors, each in a goroutine of its own, until the listener is
// closed. It returns when the last of them has gone.
func (l *crowdListener) each(serve func(*visitor)) error {
	var all sync.WaitGroup
	defer all.Wait()
	for {
		l.crowd.slots <- struct{}{}
		conn, err := l.accept()
		if err != nil {
			<-l.crowd.slots
			return err
		}
		v := l.crowd.enter(conn, l.budget)
		all.Go(func() { serve(v) })
	}
}

// accept waits for the next connection. It fails when the listener is closed;
// other errors (no descriptors, no memory) pass.
func (l *crowdListener) accept() (net.Conn, error) {
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		conn, err := l.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) {
			return conn, err
		}
		l.log.Printf("accept on %s: %v; again in %v", l.Addr(), err, pause)
		time.Sleep(pause)
	}
}
