package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	// spare is how many connections that had to go may still be closing, before
	// the next one is accepted.
	spare = 32
	// grace is how long somebody may be silent in a crowd that is full: a packet's
	// way there and back, and a bit.
	grace = 300 * time.Millisecond
	// yields is how often a newcomer lets others work before it is turned away.
	yields = 8
)

var errTooMuch = errors.New("more bytes than it may send")

// A crowd bounds the connections that are open, of all peers and of each one.
// When it is full, somebody whom it waits for gives way: of the peer that has
// most connections, the one that has been silent longest. So to hold a place one has
// to go on talking, and who is quick is served. If nobody has been silent for a
// while, the newcomer is turned away. Several goroutines may use it.
type crowd struct {
	max, perPeer int
	slots        chan struct{} // one for each visitor whose goroutine has not ended

	mu           sync.Mutex
	all          int
	peers        map[netip.Prefix][]*visitor
	gone, turned int64 // visitors that gave way, newcomers that were turned away
	over         bool
}

func newCrowd(most, perPeer int) *crowd {
	return &crowd{max: most, perPeer: perPeer, slots: make(chan struct{}, most+spare), peers: map[netip.Prefix][]*visitor{}}
}

// A visitor is a connection in a crowd.
type visitor struct {
	net.Conn
	crowd  *crowd // nil for a connection that was not accepted
	peer   netip.Prefix
	left   int64     // bytes that it may still send; for one reader at a time
	silent time.Time // since when it is waited for, zero if it is not; the crowd's
	once   sync.Once
}

// Read reads what the peer may send.
func (v *visitor) Read(p []byte) (int, error) {
	if v.left <= 0 {
		return 0, errTooMuch
	}
	if v.crowd != nil {
		v.crowd.wait(v, time.Now())
		defer v.crowd.wait(v, time.Time{})
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
// so many bytes. It returns nil if there is no room, and has closed the connection.
//
// Before that it lets others run: in a flood most visitors have hung up already, and
// what there is too little of is time to find that out.
func (c *crowd) enter(conn net.Conn, budget int64) *visitor {
	v := &visitor{Conn: conn, crowd: c, peer: peerOf(conn.RemoteAddr()), left: budget}
	for range yields {
		if c.admit(v, time.Now()) {
			return v
		}
		runtime.Gosched()
	}
	v.abort()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turned++
	return nil
}

func (c *crowd) admit(v *visitor, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || !c.room(v.peer, now) {
		return false
	}
	c.peers[v.peer] = append(c.peers[v.peer], v)
	c.all++
	return true
}

// room reports whether there is room for one more of a peer's, and makes some if
// it can.
func (c *crowd) room(peer netip.Prefix, now time.Time) bool {
	switch {
	case len(c.peers[peer]) >= c.perPeer:
		return c.dismiss(peer, now)
	case c.all >= c.max:
		return c.dismiss(c.largest(), now)
	}
	return true
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

// dismiss closes the connection of a peer that has been silent longest, if any was
// for long enough.
func (c *crowd) dismiss(peer netip.Prefix, now time.Time) bool {
	found := -1
	list := c.peers[peer]
	for i, v := range list {
		if !v.silent.IsZero() && now.Sub(v.silent) >= grace && (found < 0 || v.silent.Before(list[found].silent)) {
			found = i
		}
	}
	if found < 0 {
		return false
	}
	v := list[found]
	c.remove(v, found)
	c.gone++
	v.abort()
	return true
}

// wait notes that a visitor is waited for since a time, or is not.
func (c *crowd) wait(v *visitor, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.silent = since
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

// json returns how many are open, how many gave way, and how many were turned
// away so far.
func (c *crowd) json() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf(`{"open":%d,"gave way":%d,"turned away":%d}`, c.all, c.gone, c.turned)
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
		if v := l.crowd.enter(conn, l.budget); v != nil {
			all.Go(func() { serve(v) })
		} else {
			<-l.crowd.slots
		}
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
