package dhcp4

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

var (
	clientMAC = [6]byte{2, 0, 0, 0, 0, 1}
	serverMAC = [6]byte{2, 0, 0, 0, 0, 2}
	serverIP  = [4]byte{192, 0, 2, 1}
	leasedIP  = [4]byte{192, 0, 2, 50}
)

// A world is a client, its clock, and a server that answers as it is told.
type world struct {
	t      *testing.T
	c      *Client
	now    time.Duration
	events []string
	sent   []sent
	rand   uint32
	queue  [][]byte // answers on their way

	// answer makes the answer to a message, nil for none.
	answer func(kind byte, m message, d datagram) []byte
	server [4]byte
	extra  []byte // options of OFFER and ACK, in front of the server's own
}

type sent struct {
	at   time.Duration
	what string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, server: serverIP}
	w.answer = w.serve
	w.c = New(Config{
		MAC: clientMAC, Hostname: "guest",
		Random: func() uint32 { w.rand = w.rand*1664525 + 1013904223; return w.rand },
		Send:   w.receive,
		Notify: func(e Event, l *Lease) {
			s := fmt.Sprintf("%v %s", w.now, [...]string{"bound", "renewed", "expired", "refused", "conflict", "contested", "no answer"}[e])
			if l != nil {
				s += " " + l.Addr.String()
			}
			w.events = append(w.events, s)
		},
	})
	return w
}

var kinds = [...]string{discover: "DISCOVER", offer: "OFFER", request: "REQUEST", decline: "DECLINE", ack: "ACK", nak: "NAK"}

// receive takes a frame from the client, checks it and lets the server answer.
func (w *world) receive(b []byte) {
	if dhcpwire.IsARP(b) {
		w.sent = append(w.sent, sent{w.now, fmt.Sprintf("ARP %v %v", netip.AddrFrom4([4]byte(b[28:])), netip.AddrFrom4([4]byte(b[38:])))})
		return
	}
	ip := b[etherLen:]
	udp := ip[ipLen:]
	if dhcpwire.Sum(0, ip[:ipLen]) != 0xffff || dhcpwire.SumUDP(ip[12:ipLen], udp) != 0xffff || int(binary.BigEndian.Uint16(ip[2:])) != len(ip) {
		w.t.Fatalf("a malformed frame: %x", b)
	}
	m := message(udp[udpLen:])
	if len(m) < minSize || m[0] != opRequest || [6]byte(m[atMAC:]) != clientMAC {
		w.t.Fatalf("a malformed message: %x", m)
	}
	d := datagram{srcMAC: [6]byte(b[6:]), dstMAC: [6]byte(b), src: [4]byte(ip[12:]), dst: [4]byte(ip[16:])}
	w.sent = append(w.sent, sent{w.now, kinds[m.kind()] + " to " + netip.AddrFrom4(d.dst).String()})
	if a := w.answer(m.kind(), m, d); a != nil {
		w.queue = append(w.queue, a)
	}
}

// reply makes an answer of a kind to m with these options.
func (w *world) reply(kind byte, m message, options ...byte) []byte {
	r := make(message, atOptions)
	copy(r, m[:atOptions])
	r[0] = opReply
	copy(r[atYours:], leasedIP[:])
	r = r.add(optKind, kind).add(optServer, w.server[:]...)
	return toClient(append(r, append(options, optEnd)...))
}

// toClient makes a frame of a server's message.
func toClient(m message) []byte {
	d := datagram{srcMAC: serverMAC, dstMAC: clientMAC, src: serverIP, dst: leasedIP, payload: m}
	b := d.frame()
	udp := b[etherLen+ipLen:]
	udp[1], udp[3] = serverPort, clientPort // the sum is the same
	return b
}

// serve is a server that gives a lease of 100 seconds.
func (w *world) serve(kind byte, m message, _ datagram) []byte {
	options := append([]byte(nil), w.extra...)
	options = append(options, optLease, 4, 0, 0, 0, 100, optMask, 4, 255, 255, 255, 0, optRouter, 4, 192, 0, 2, 1)
	switch kind {
	case discover:
		return w.reply(offer, m, options...)
	case request:
		return w.reply(ack, m, options...)
	}
	return nil
}

// until lets time pass.
func (w *world) until(end time.Duration) {
	for n := 0; w.c.Next() <= end; n++ {
		if n > 10000 {
			w.t.Fatal("the client does not rest")
		}
		w.now = max(w.now, w.c.Next())
		w.tick()
	}
	w.now = end
}

// tick lets the client do what is due, and delivers the answers.
func (w *world) tick() {
	w.c.Tick(w.now)
	for len(w.queue) > 0 {
		b := w.queue[0]
		w.queue = w.queue[1:]
		w.c.Frame(w.now, b, false)
	}
}

func (w *world) start() *world { w.c.Start(w.now); return w }

// expect compares what happened with what was expected, and forgets it.
func (w *world) expect(want ...string) {
	w.t.Helper()
	if fmt.Sprint(w.events) != fmt.Sprint(want) {
		w.t.Errorf("events:\n got %q\nwant %q", w.events, want)
	}
	w.events = nil
}

func (w *world) expectSent(want ...string) {
	w.t.Helper()
	var got []string
	for _, s := range w.sent {
		got = append(got, s.what)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("sent:\n got %q\nwant %q", got, want)
	}
	w.sent = nil
}

// arp makes a frame in which somebody says that he has an address.
func arp(mac [6]byte, sender, target [4]byte) []byte { return dhcpwire.ARPRequest(mac, sender, target) }
