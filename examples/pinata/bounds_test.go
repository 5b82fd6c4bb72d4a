package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// from is a connection from somewhere that does nothing.
type from struct {
	net.Conn
	addr   net.Addr
	closed bool
}

func (f *from) RemoteAddr() net.Addr { return f.addr }
func (f *from) Close() error         { f.closed = true; return nil }

func tcp(addr string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr)) }

// come enters a crowd, and says nothing since a time, or is being worked on.
func come(c *crowd, addr string, silent time.Time) (*visitor, *from) {
	c.slots <- struct{}{}
	f := &from{addr: tcp(addr)}
	v := c.enter(f, 1)
	if v != nil {
		c.wait(v, silent)
	} else {
		<-c.slots
	}
	return v, f
}

// Who has been silent longest gives way, of a peer that has too many; if all have too
// many, of the peer that has most. A flood of one peer's costs no other its place.
func TestCrowd(t *testing.T) {
	c, now := newCrowd(6, 4), time.Now().Add(-time.Hour)
	_, quiet := come(c, "192.0.2.1:1", now)
	var flood []*from
	for i := range 10 {
		// In an order that is not that of their coming: 1, 0, 3, 2, ...
		_, f := come(c, fmt.Sprintf("192.0.2.2:%d", 1000+i), now.Add(time.Duration(i^1)*time.Second))
		flood = append(flood, f)
	}
	for i, f := range flood {
		if f.closed != (i < 6) {
			t.Errorf("connection %d of the flood is closed: %v", i, f.closed)
		}
	}
	come(c, "[2001:db8::1]:1", now)
	if quiet.closed || flood[7].closed {
		t.Error("somebody gave way while there was room")
	}
	late, lateConn := come(c, "198.51.100.1:1", now) // the seventh
	if quiet.closed || lateConn.closed || !flood[7].closed || flood[6].closed {
		t.Error("the wrong one gave way to the seventh")
	}
	if got := c.json(); got != `{"open":6,"gave way":7,"turned away":0}` {
		t.Error(got)
	}
	late.Close()
	late.Close()
	if c.all != 5 || !lateConn.closed || len(c.slots) != 12 {
		t.Errorf("after one has left, %d are open, %d slots taken", c.all, len(c.slots))
	}
	c.close()
	if _, f := come(c, "192.0.2.9:1", now); !quiet.closed || !f.closed {
		t.Error("open after the end")
	}
}

// Nobody gives way who is being worked on, or was silent for a moment only: the
// newcomer is turned away.
func TestTurnedAway(t *testing.T) {
	c := newCrowd(2, 2)
	_, busy := come(c, "192.0.2.1:1", time.Time{})
	b, silent := come(c, "192.0.2.1:2", time.Now())
	v, f := come(c, "192.0.2.1:3", time.Now())
	w, g := come(c, "192.0.2.2:1", time.Now())
	if v != nil || !f.closed || w != nil || !g.closed || busy.closed || silent.closed || len(c.slots) != 2 {
		t.Errorf("somebody came in where there was no room, or had to go: %s", c.json())
	}
	c.wait(b, time.Now().Add(-grace))
	if v, _ := come(c, "192.0.2.1:4", time.Now()); v == nil || !silent.closed || busy.closed {
		t.Error("nobody gave way, or the wrong one")
	}
	if got := c.json(); got != `{"open":2,"gave way":1,"turned away":2}` {
		t.Error(got)
	}
}

func TestPeerOf(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1:80":              "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":     "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
	} {
		if got := peerOf(tcp(addr)); got.String() != want {
			t.Errorf("%s counts for %v, want %s", addr, got, want)
		}
	}
	if got := peerOf(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1}); got.String() != "fe80::/64" {
		t.Errorf("a link-local address counts for %v", got)
	}
	if got := peerOf(&net.UnixAddr{Name: "x"}); got.IsValid() {
		t.Errorf("no address counts for %v", got)
	}
}

// failing is a listener without descriptors at first.
type failing struct {
	net.Listener
	left atomic.Int32
}

func (f *failing) Accept() (net.Conn, error) {
	if f.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

// Errors of accept pass, and it waits longer each time.
func TestAcceptErrors(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &failing{Listener: ln}
	f.left.Store(4)
	var text strings.Builder
	l := &crowdListener{f, newCrowd(2, 2), 100, log.New(&text, "", 0)}
	served, ended := make(chan string), make(chan error)
	begin := time.Now()
	go func() {
		ended <- l.each(func(v *visitor) {
			got, _ := io.ReadAll(v)
			v.Close()
			served <- string(got)
		})
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "hello")
	conn.Close()
	if got := <-served; got != "hello" {
		t.Errorf("served %q", got)
	}
	if took := time.Since(begin); took < 60*time.Millisecond { // 5 + 10 + 20 + 40
		t.Errorf("accepted after %v and four errors", took)
	}
	ln.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if n := strings.Count(text.String(), syscall.EMFILE.Error()); n != 4 {
		t.Errorf("the log has %d lines of 4:\n%s", n, &text)
	}
}

func TestBacks(t *testing.T) {
	b, now := newBacks(10*time.Second), time.Unix(1000, 0)
	peer := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	if !b.begin(peer(0), now) || b.begin(peer(0), now.Add(9*time.Second)) {
		t.Error("a peer is connected to twice in ten seconds, or not at all")
	}
	b.end()
	if !b.begin(peer(0), now.Add(10*time.Second)) {
		t.Error("a peer is not connected to after ten seconds")
	}
	b.end()
	now = now.Add(20 * time.Second)
	n := 0
	for i := range 100 {
		if b.begin(peer(1000+i), now) {
			n++
			b.end()
		}
	}
	if n != maxBacksSecond {
		t.Errorf("%d were begun in a second", n)
	}
	now, n = now.Add(time.Second), 0
	for i := range 100 {
		if b.begin(peer(2000+i), now) {
			n++
		}
	}
	if n != maxBacks {
		t.Errorf("%d are open at a time", n)
	}
	for range n {
		b.end()
	}
	for i := range 10 * maxRemembered { // an hour of peers that come once
		now = now.Add(time.Second)
		if b.begin(peer(10000+i), now) {
			b.end()
		}
		if len(b.last) > maxRemembered {
			t.Fatalf("%d peers are remembered", len(b.last))
		}
	}
	b.every = time.Hour
	for i := range 10 * maxRemembered {
		now = now.Add(100 * time.Millisecond)
		b.begin(peer(100000+i), now)
		b.open = 0
	}
	if len(b.last) > maxRemembered {
		t.Errorf("%d peers are remembered", len(b.last))
	}
}

// A million lines become a few, that say how many were left out.
func TestThrottle(t *testing.T) {
	var text strings.Builder
	now := time.Unix(1000, 0)
	th := newThrottle(&text)
	th.now, th.last = func() time.Time { return now }, now
	l := log.New(th, "", 0)
	for range 1_000_000 / 1000 {
		for range 1000 {
			l.Print("x")
		}
		now = now.Add(100 * time.Millisecond)
	}
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if n := len(lines); n < 100 || n > 300 { // 100 s, a line each, and as many that count
		t.Errorf("%d lines", n)
	}
	left := 0
	for _, line := range lines {
		var n int
		if _, err := fmt.Sscanf(line, "%d lines left out", &n); err == nil {
			left += n
		} else {
			left++
		}
	}
	if left+th.lost != 1_000_000 {
		t.Errorf("%d lines of a million are accounted for", left+th.lost)
	}
	now = now.Add(time.Hour)
	text.Reset()
	l.Print(strings.Repeat("y", 5000))
	if got := text.String(); strings.Count(got, "y") != lineMax || !strings.HasSuffix(got, "y...\n") {
		t.Errorf("a long line becomes %d bytes that end in %q", len(got), got[len(got)-10:])
	}
}
