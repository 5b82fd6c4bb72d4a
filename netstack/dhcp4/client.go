// Package dhcp4 is a client of DHCP for IPv4 (RFC 2131, RFC 2132) as a state
// machine: it is given frames and the time, and gives back frames and events. It
// has no clock, no socket and no goroutine of its own.
//
// Of RFC 2131 it leaves out the wait of 1 to 10 seconds before the first message
// (section 4.4.1), and INIT-REBOOT: a machine without a disk has no address to
// remember.
package dhcp4

import (
	"net/netip"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// A Config is what a client needs.
type Config struct {
	MAC      [6]byte
	Hostname string        // to tell the server, "" for none; at most 255 bytes
	Random   func() uint32 // a random number
	// Send transmits an Ethernet frame; it may be lost. Like Notify, it does not
	// call the client.
	Send func(frame []byte)
	// Notify is told what happens. The lease is the one that begins, goes on or
	// has ended; it is nil with NoAnswer.
	Notify func(Event, *Lease)
}

// An Event is what a [Client] tells.
type Event uint8

// The events.
const (
	Bound     Event = iota // a lease began: configure the address
	Renewed                // it goes on, perhaps with other options
	Expired                // nobody has renewed it: remove the address
	Refused                // a server said that it is void: remove the address
	Conflict               // another machine uses the address: remove it if configured
	Contested              // the same, after a while: the address is kept
	NoAnswer               // no server has answered so far; told once each time

	Events = iota // how many there are
)

// String returns the event as a word.
func (e Event) String() string {
	return [...]string{"bound", "renewed", "expired", "refused", "conflict", "contested", "no answer"}[e]
}

type state uint8

const (
	stopped state = iota
	selecting
	requesting
	probing
	bound
	renewing
	rebinding
)

// Times of the client's own.
const (
	// firstWait is doubled with each message, up to maxWait (RFC 2131 section
	// 4.1, which begins with 4 s for networks of 1997).
	firstWait = time.Second
	maxWait   = 64 * time.Second
	// probeWait is how long the owner of an address has to say so. On one link
	// that takes less than a millisecond; RFC 5227's seconds would be the whole
	// boot. Later answers are heard, too, for conflictTime.
	probeWait    = 20 * time.Millisecond
	conflictTime = 10 * time.Second
	declineWait  = 10 * time.Second // RFC 2131 section 3.1
	refusedWait  = time.Second

	maxRequests = 4 // before another server is looked for
	quietTries  = 3 // messages without an answer before that is told
	minRenew    = time.Second
	maxRenew    = time.Minute // RFC 2131 section 4.4.5
)

// A Client gets an address and keeps it. Its methods are called by one goroutine
// at a time; now is the time since any moment, and never goes back.
type Client struct {
	cfg   Config
	state state
	xid   uint32
	began time.Duration // when the first message of this exchange was sent
	asked time.Duration // when the latest REQUEST was sent: leases count from there
	next  time.Duration
	tries int
	quiet bool // NoAnswer was told

	lease       Lease
	router      [6]byte // who sent the lease: the way to its server
	since       time.Duration
	t1, t2, end time.Duration
	known       bool // of the lease: Contested was told
}

// New returns a client that does nothing until it is started.
func New(c Config) *Client { return &Client{cfg: c, next: Forever} }

// Start makes the client look for a server.
func (c *Client) Start(now time.Duration) { c.restart(now) }

// Next returns when Tick has something to do.
func (c *Client) Next() time.Duration { return c.next }

// End returns when the lease that there is ends, unless it is renewed.
func (c *Client) End() time.Duration { return c.end }

// Tick does what is due.
func (c *Client) Tick(now time.Duration) {
	if now < c.next {
		return
	}
	switch c.state {
	case selecting:
		c.discover(now)
	case requesting:
		c.again(now)
	case probing:
		c.bind(now)
	case bound, renewing, rebinding:
		c.renew(now)
	}
}

// restart looks for a server from now on or, if that is later, from then.
func (c *Client) restart(then time.Duration) {
	c.state, c.tries, c.next = selecting, 0, then
	c.began, c.xid = then, c.cfg.Random()
}

func (c *Client) discover(now time.Duration) {
	if c.tries == quietTries && !c.quiet {
		c.quiet = true
		c.cfg.Notify(NoAnswer, nil)
	}
	c.send(c.message(discover, now), nil)
	c.wait(now)
}

// again repeats a REQUEST that was not answered, but not for long.
func (c *Client) again(now time.Duration) {
	if c.tries >= maxRequests {
		c.restart(now)
		c.discover(now)
		return
	}
	c.request(now)
}

// request asks for what was offered.
func (c *Client) request(now time.Duration) {
	m := c.message(request, now)
	m = m.add(optAddress, c.lease.Addr.Addr().AsSlice()...)
	m = m.add(optServer, c.lease.Server.AsSlice()...)
	c.asked = now
	c.send(m, nil)
	c.wait(now)
}

// bind begins to use the address.
func (c *Client) bind(now time.Duration) {
	c.state, c.since, c.known, c.quiet = bound, now, false, false
	c.schedule()
	a := c.lease.Addr.Addr().As4()
	c.cfg.Send(dhcpwire.ARPRequest(c.cfg.MAC, a, a))
	c.cfg.Notify(Bound, &c.lease)
}

// schedule sets the times of a lease that was asked for at c.asked.
func (c *Client) schedule() {
	c.t1, c.t2, c.end = c.asked+c.lease.T1, c.asked+c.lease.T2, c.asked+c.lease.Duration
	if c.lease.Duration == Forever {
		c.t1, c.t2, c.end = Forever, Forever, Forever
	}
	c.next = c.t1
}

// renew does what is due while there is a lease: it asks the server, from t2 on
// any server, and gives up at the end.
func (c *Client) renew(now time.Duration) {
	limit, to := c.t2, &c.lease
	switch {
	case now >= c.end:
		c.restart(now)
		c.cfg.Notify(Expired, &c.lease)
		return
	case now >= c.t2:
		c.begin(rebinding, now)
		limit, to = c.end, nil
	default:
		c.begin(renewing, now)
	}
	c.asked = now
	c.send(c.message(request, now), to)
	// Half of what is left, but not too often (RFC 2131 section 4.4.5); for
	// short leases that is a share of them.
	least := min(max(c.lease.Duration/16, minRenew), maxRenew)
	c.next = min(now+max((limit-now)/2, least), limit)
}

// begin enters a state and begins an exchange of its own.
func (c *Client) begin(s state, now time.Duration) {
	if c.state != s {
		c.state, c.began, c.xid = s, now, c.cfg.Random()
	}
}

// wait sets when the next attempt is: twice as long each time, less or more by
// up to an eighth, so that machines that started together do not stay so.
func (c *Client) wait(now time.Duration) {
	w := min(firstWait<<min(c.tries, 6), maxWait)
	c.tries++
	c.next = now + w - w/8 + time.Duration(c.cfg.Random())<<2%(w/4)
}

// message begins one with what all have.
func (c *Client) message(kind byte, now time.Duration) message {
	m := newRequest(kind, c.cfg.MAC, c.xid, uint16(min((now-c.began)/time.Second, 1<<16-1)))
	if kind == decline {
		return m
	}
	m = m.add(optMaxSize, 1500>>8, 1500&0xff)
	if c.cfg.Hostname != "" {
		m = m.add(optHostname, []byte(c.cfg.Hostname)...)
	}
	return m.add(optWanted, []byte(wanted)...)
}

// send sends m to everybody or, if there is a lease, to its server. While the
// client has an address, it says so.
func (c *Client) send(m message, to *Lease) {
	d := datagram{srcMAC: c.cfg.MAC, dstMAC: dhcpwire.Broadcast, dst: [4]byte{255, 255, 255, 255}}
	if c.state >= bound {
		d.src = c.lease.Addr.Addr().As4()
		copy(m[atClient:], d.src[:])
	}
	if to != nil {
		d.dst, d.dstMAC = to.Server.As4(), c.router
	}
	d.payload = m.end()
	c.cfg.Send(d.frame())
}

// Frame looks at an Ethernet frame that was received. validated says that the
// host has verified the checksum of UDP. b is not kept.
func (c *Client) Frame(now time.Duration, b []byte, validated bool) {
	if dhcpwire.IsARP(b) {
		if c.state >= probing && dhcpwire.Claims(b, c.cfg.MAC, c.lease.Addr.Addr().As4()) {
			c.conflict(now, b)
		}
		return
	}
	if !isReply(b) {
		return
	}
	d, ok := parseFrame(b, validated)
	if ok && checkReply(d.payload, c.cfg.MAC, c.xid) {
		c.reply(now, d.payload, d.srcMAC)
	}
}

func (c *Client) reply(now time.Duration, m message, from [6]byte) {
	kind := m.kind()
	switch {
	case c.state == selecting && kind == offer && c.tries > 0:
		c.offered(now, m)
	case c.state == requesting && kind == ack:
		c.granted(now, m, from)
	case c.state >= renewing && kind == ack:
		c.renewed(m, from)
	case kind == nak && (c.state == requesting || c.state >= renewing) && c.mayRefuse(m):
		c.refused(now)
	}
}

// offered takes the first offer that can be used.
func (c *Client) offered(now time.Duration, m message) {
	if l, ok := m.lease(); ok {
		c.lease, c.state, c.tries = l, requesting, 0
		c.request(now)
	}
}

// granted asks whether anybody has the address.
func (c *Client) granted(now time.Duration, m message, from [6]byte) {
	l, ok := m.lease()
	if !ok || l.Server != c.lease.Server || l.Addr.Addr() != c.lease.Addr.Addr() {
		return
	}
	c.lease, c.router = l, from
	c.state, c.next = probing, now+probeWait
	c.cfg.Send(dhcpwire.ARPRequest(c.cfg.MAC, [4]byte{}, l.Addr.Addr().As4()))
}

// renewed goes on with the address; another one was not asked for.
func (c *Client) renewed(m message, from [6]byte) {
	l, ok := m.lease()
	if !ok || l.Addr.Addr() != c.lease.Addr.Addr() || c.state == renewing && l.Server != c.lease.Server {
		return
	}
	c.lease, c.router, c.state = l, from, bound
	c.schedule()
	c.cfg.Notify(Renewed, &c.lease)
}

// mayRefuse reports whether a NAK comes from the server that was asked.
func (c *Client) mayRefuse(m message) bool {
	return c.state == rebinding || netip.AddrFrom4(m.four(optServer)) == c.lease.Server
}

func (c *Client) refused(now time.Duration) {
	had := c.state >= bound
	c.restart(now + refusedWait)
	if had {
		c.cfg.Notify(Refused, &c.lease)
	}
}

// conflict gives the address back if it is new. Later it is the other machine
// that is wrong, and connections are worth more (RFC 5227 section 2.4 c): the
// address is announced once and kept.
func (c *Client) conflict(now time.Duration, b []byte) {
	if c.state != probing && dhcpwire.IsProbe(b) {
		return // a probe, which the stack answers
	}
	if c.state == probing || now < c.since+conflictTime {
		c.decline(now)
		return
	}
	if c.known {
		return
	}
	c.known = true
	a := c.lease.Addr.Addr().As4()
	c.cfg.Send(dhcpwire.ARPRequest(c.cfg.MAC, a, a))
	c.cfg.Notify(Contested, &c.lease)
}

// decline tells the server that its address is in use, and starts again later.
func (c *Client) decline(now time.Duration) {
	c.state, c.xid = selecting, c.cfg.Random()
	m := c.message(decline, now)
	m = m.add(optAddress, c.lease.Addr.Addr().AsSlice()...)
	m = m.add(optServer, c.lease.Server.AsSlice()...)
	c.send(m, nil)
	c.restart(now + declineWait)
	c.cfg.Notify(Conflict, &c.lease)
}
