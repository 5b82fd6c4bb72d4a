// Package dhcp6 is a client of DHCP for IPv6 (RFC 9915, which has replaced RFC 8415
// and RFC 3315) as a state machine: it is given frames and the time, and gives back
// frames and events. It has no clock, no socket and no goroutine of its own.
//
// Of RFC 9915 it leaves out the wait of up to a second before the first message, and
// the one for further offers (section 18.2.1); CONFIRM, as a machine without a disk
// has no address to remember; RECONFIGURE, which needs keys; and prefixes. DECLINE is
// sent once: a server that has not heard it gives the address again, and hears it then.
package dhcp6

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// A Config is what a client needs.
type Config struct {
	MAC      [6]byte
	Local    [16]byte      // the link-local address, which is in use
	Hostname string        // to tell the server, "" for none
	Random   func() uint32 // a random number
	// Send transmits an Ethernet frame; it may be lost. Like Notify, it does not
	// call the client.
	Send func(frame []byte)
	// Notify is told what happens. The lease is the one that begins, goes on or
	// has ended; with Conflict, it has the address that is lost; with NoAnswer it is nil.
	Notify func(Event, *Lease)
}

// An Event is what a [Client] tells.
type Event uint8

// The events.
const (
	Bound      Event = iota // a lease began: configure the addresses
	Renewed                 // it goes on, perhaps with other addresses and options
	Deprecated              // its addresses are not for new connections any more
	Expired                 // nobody has renewed it: remove the addresses
	Refused                 // a server said that it is void: remove the addresses
	Conflict                // another machine uses an address: remove it
	Informed                // a server said something, without addresses
	NoAnswer                // no server has answered so far; told once each time

	Events = iota // how many there are
)

// String returns the event as a word.
func (e Event) String() string {
	return [...]string{"bound", "renewed", "deprecated", "expired", "refused", "conflict", "informed", "no answer"}[e]
}

// A Mode is what a client asks for.
type Mode uint8

// The modes. Addresses includes Information.
const (
	Nothing Mode = iota
	Information
	Addresses
)

type state uint8

const (
	stopped state = iota
	soliciting
	requesting
	bound
	renewing
	rebinding
	informing
)

// Times of RFC 9915 section 7.6, but for maxSolicit: there a client that had no
// answer for long is silent for an hour, unless servers say otherwise.
const (
	firstWait   = time.Second
	maxSolicit  = 2 * time.Minute
	maxRequest  = 30 * time.Second
	requests    = 10
	firstRenew  = 10 * time.Second
	maxRenew    = 10 * time.Minute
	declineWait = 10 * time.Second
	refusedWait = time.Second

	quietTries = 3 // messages without an answer before that is told
)

// A Client gets addresses, or other information, and keeps them. Its methods are
// called by one goroutine at a time; now is the time since any moment, and never
// goes back.
type Client struct {
	cfg   Config
	mode  Mode
	state state
	xid   uint32
	began time.Duration // when the first message of this exchange was sent
	asked time.Duration // when the latest one was: leases count from there
	next  time.Duration
	wait  time.Duration // between the latest message and the next
	tries int
	quiet bool // NoAnswer was told

	maxSolicit, maxInform time.Duration

	server []byte       // identifier of the one that is asked
	want   []netip.Addr // of it

	lease               Lease
	held                bool // there is a lease
	old                 bool // of it: Deprecated was told
	t1, t2, pref, until time.Duration
}

// New returns a client that does nothing until it is started.
func New(c Config) *Client {
	return &Client{cfg: c, next: Forever, maxSolicit: maxSolicit, maxInform: maxSolicit}
}

// Start makes the client ask for what a router says that there is. It goes on with
// what it does already, if that is as much.
func (c *Client) Start(now time.Duration, m Mode) {
	if m <= c.mode {
		return
	}
	c.mode = m
	if m == Information {
		c.begin(informing, now)
	} else {
		c.begin(soliciting, now)
	}
}

// Next returns when Tick has something to do.
func (c *Client) Next() time.Duration {
	n := c.next
	if c.held {
		if n = min(n, c.until); !c.old {
			n = min(n, c.pref)
		}
	}
	return n
}

// End returns when the lease that there is ends, unless it is renewed.
func (c *Client) End() time.Duration { return c.until }

// Tick does what is due.
func (c *Client) Tick(now time.Duration) {
	switch {
	case now < c.Next():
		return
	case c.held && now >= c.until:
		c.lose(Expired, now)
	case c.held && !c.old && now >= c.pref:
		c.old = true
		c.cfg.Notify(Deprecated, &c.lease)
	}
	if now < c.next {
		return
	}
	switch c.state {
	case soliciting, informing:
		c.ask(now)
	case requesting:
		c.again(now)
	case bound, renewing, rebinding:
		c.renew(now)
	}
}

// begin enters a state, for an exchange of its own from then on.
func (c *Client) begin(s state, then time.Duration) {
	c.state, c.began, c.next, c.tries, c.wait = s, then, then, 0, 0
	c.xid = c.cfg.Random() >> 8
}

// lose ends the lease and looks for another one from then on.
func (c *Client) lose(e Event, then time.Duration) {
	had := c.held
	c.held, c.want = false, nil
	c.begin(soliciting, then)
	if had {
		c.cfg.Notify(e, &c.lease)
	}
}

// ask looks for a server.
func (c *Client) ask(now time.Duration) {
	if c.tries == quietTries && !c.quiet {
		c.quiet = true
		c.cfg.Notify(NoAnswer, nil)
	}
	if c.state == informing {
		c.send(c.message(inform, now).addWanted(optDNS, optSearch, optSNTP, optNTP, optRefresh, optMaxInform))
		c.delay(now, firstWait, c.maxInform)
		return
	}
	c.send(c.request(solicit, now))
	c.delay(now, firstWait, c.maxSolicit)
}

// again repeats a REQUEST that was not answered, but not for ever.
func (c *Client) again(now time.Duration) {
	if c.tries >= requests {
		c.lose(Refused, now)
		c.ask(now)
		return
	}
	c.asked = now
	c.send(c.request(request, now).add(optServer, c.server...))
	c.delay(now, firstWait, maxRequest)
}

// renew asks the server, from t2 on any server.
func (c *Client) renew(now time.Duration) {
	kind, limit, s := byte(renew), c.t2, renewing
	if now >= c.t2 {
		kind, limit, s = rebind, c.until, rebinding
	}
	if c.state != s {
		c.begin(s, now)
	}
	c.asked, c.want = now, c.lease.Addrs
	m := c.request(kind, now)
	if kind == renew {
		m = m.add(optServer, c.server...)
	}
	c.send(m)
	c.delay(now, firstRenew, maxRenew)
	c.next = min(c.next, limit)
}

// delay sets when the next attempt is: after twice the time of the latest, less or
// more by up to a tenth (RFC 9915 section 15).
func (c *Client) delay(now, first, most time.Duration) {
	c.wait = min(max(2*c.wait, first), most)
	c.tries++
	c.next = now + c.wait - c.wait/10 + time.Duration(c.cfg.Random())<<8%(c.wait/5)
}

// message begins one with what all have.
func (c *Client) message(kind byte, now time.Duration) message {
	return newMessage(kind, c.cfg.MAC, c.xid, now-c.began)
}

// request is a message that asks for addresses.
func (c *Client) request(kind byte, now time.Duration) message {
	m := c.message(kind, now).addAddresses(c.want).addWanted(optDNS, optSearch, optSNTP, optNTP, optMaxSol)
	if c.cfg.Hostname != "" {
		m = m.addName(c.cfg.Hostname)
	}
	return m
}

func (c *Client) send(m message) { c.cfg.Send(frame(c.cfg.MAC, c.cfg.Local, m)) }

// Frame looks at an Ethernet frame that was received. validated says that the
// host has verified the checksum of UDP. b is not kept.
func (c *Client) Frame(now time.Duration, b []byte, validated bool) {
	m, from, ok := parseFrame(b, c.cfg.Local, validated)
	if !ok || c.tries == 0 || !m.check(c.cfg.MAC, c.xid) {
		return
	}
	server := m.option(optServer)
	fromServer := bytes.Equal(server, c.server)
	switch kind := m[0]; {
	case c.state == soliciting && kind == advertise:
		c.offered(now, m, from)
	case kind != reply:
	case c.state == informing:
		c.informed(now, m, from)
	case c.state == requesting && fromServer, c.state == renewing && fromServer, c.state == rebinding:
		c.granted(now, m, from)
	}
}

// offered takes the first offer that can be used.
func (c *Client) offered(now time.Duration, m message, from netip.Addr) {
	c.maxSolicit = m.limit(optMaxSol, c.maxSolicit)
	l, code := m.lease(from)
	if code != statusOK {
		return
	}
	c.choose(m, l.Addrs, now)
}

// choose asks the server that sent m for addresses.
func (c *Client) choose(m message, addrs []netip.Addr, now time.Duration) {
	c.server, c.want = bytes.Clone(m.option(optServer)), addrs
	c.begin(requesting, now)
	c.again(now)
}

// informed takes what a server says besides addresses.
func (c *Client) informed(now time.Duration, m message, from netip.Addr) {
	if status(m[headLen:]) != statusOK {
		return
	}
	c.maxInform = m.limit(optMaxInform, c.maxInform)
	l := Lease{Server: from}
	l.information(m)
	c.quiet, c.lease = false, l
	c.begin(informing, now+m.refresh())
	c.cfg.Notify(Informed, &c.lease)
}

// granted takes the answer of the server that was asked for a lease. One that does not know it
// is asked for a new one (RFC 9915 section 18.2.10.1); what else it says while there is
// one is no reason to give that up.
func (c *Client) granted(now time.Duration, m message, from netip.Addr) {
	l, code := m.lease(from)
	switch {
	case code == statusOK:
		c.bind(m, l)
	case c.state == requesting:
		c.lose(Refused, now+refusedWait)
	case code == statusNoBinding:
		c.choose(m, c.lease.Addrs, now)
	}
}

// bind begins a lease, or goes on with it.
func (c *Client) bind(m message, l Lease) {
	e := Bound
	if c.held {
		e = Renewed
	}
	c.server, c.lease, c.held, c.quiet, c.old = bytes.Clone(m.option(optServer)), l, true, false, false
	c.t1, c.t2 = after(c.asked, l.T1), after(c.asked, l.T2)
	c.pref, c.until = after(c.asked, l.Preferred), after(c.asked, l.Duration)
	c.begin(bound, c.t1)
	c.cfg.Notify(e, &c.lease)
}

func after(t, d time.Duration) time.Duration {
	if d == Forever {
		return Forever
	}
	return t + d
}

// Duplicate tells the client that another machine uses an address, which is given
// back if it is of the lease.
func (c *Client) Duplicate(now time.Duration, a netip.Addr) {
	i := slices.Index(c.lease.Addrs, a)
	if !c.held || i < 0 {
		return
	}
	m := newMessage(decline, c.cfg.MAC, c.cfg.Random()>>8, 0).addAddresses([]netip.Addr{a}).add(optServer, c.server...)
	c.send(m)
	lost := c.lease
	lost.Addrs = []netip.Addr{a}
	c.lease.Addrs = slices.Delete(slices.Clone(c.lease.Addrs), i, i+1)
	if len(c.lease.Addrs) == 0 {
		c.held, c.want = false, nil
		c.begin(soliciting, now+declineWait)
	}
	c.cfg.Notify(Conflict, &lost)
}
