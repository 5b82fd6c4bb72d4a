package dhcp6

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

var (
	clientMAC = [6]byte{2, 0, 0, 0, 0, 1}
	serverMAC = [6]byte{2, 0, 0, 0, 0, 2}
	local     = netip.MustParseAddr("fe80::1").As16()
	serverIP  = netip.MustParseAddr("fe80::2")
	leased    = netip.MustParseAddr("2001:db8::50")
	other     = netip.MustParseAddr("2001:db8:1::51")
	serverID  = []byte{0, 3, 0, 1, 2, 0, 0, 0, 0, 2}
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
	answer func(kind byte, m message) []byte
	server []byte       // its identifier
	addrs  []netip.Addr // that it gives
	valid  uint32       // seconds
	extra  []byte       // further options
}

type sent struct {
	at   time.Duration
	what string
	m    message
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, server: serverID, addrs: []netip.Addr{leased}, valid: 100}
	w.answer = w.serve
	w.c = New(Config{
		MAC: clientMAC, Local: local, Hostname: "guest",
		Random: func() uint32 { w.rand = w.rand*1664525 + 1013904223; return w.rand },
		Send:   w.receive,
		Notify: func(e Event, l *Lease) {
			s := fmt.Sprintf("%v %v", w.now, e)
			if l != nil {
				s += fmt.Sprint(" ", l.Addrs)
			}
			w.events = append(w.events, s)
		},
	})
	return w
}

var kinds = map[byte]string{solicit: "SOLICIT", request: "REQUEST", renew: "RENEW", rebind: "REBIND", decline: "DECLINE", inform: "INFORM"}

// receive takes a frame from the client, checks it and lets the server answer.
func (w *world) receive(b []byte) {
	ip := b[etherLen:]
	if [6]byte(b) != serversMAC || [6]byte(b[6:]) != clientMAC || [16]byte(ip[8:]) != local || [16]byte(ip[24:]) != servers ||
		int(binary.BigEndian.Uint16(ip[4:])) != len(ip)-ipLen || dhcpwire.SumUDP(ip[8:ipLen], ip[ipLen:]) != 0xffff {
		w.t.Fatalf("a malformed frame: %x", b)
	}
	m := message(ip[ipLen+udpLen:])
	if !walk(m[headLen:], func(uint16, []byte) bool { return true }) || string(m.option(optClient)) != string(duid(clientMAC)) || len(m.option(optElapsed)) != 2 {
		w.t.Fatalf("a malformed message: %x", m)
	}
	w.sent = append(w.sent, sent{w.now, kinds[m[0]], m})
	if a := w.answer(m[0], m); a != nil {
		w.queue = append(w.queue, a)
	}
}

// message makes a message of the server's for the one m of the client's.
func (w *world) message(kind byte, m message, options ...byte) message {
	r := message{kind, m[1], m[2], m[3]}
	r = r.add(optClient, m.option(optClient)...).add(optServer, w.server...)
	return append(append(r, options...), w.extra...)
}

// toClient makes a frame of a server's message.
func toClient(m message) []byte {
	b := frame(serverMAC, serverIP.As16(), m)
	copy(b, clientMAC[:])
	ip := b[etherLen:]
	copy(ip[24:], local[:])
	binary.BigEndian.PutUint16(ip[ipLen+6:], 0)
	dhcpwire.PutUDP(ip[ipLen:], ip[8:ipLen], serverPort, clientPort)
	return b
}

// address makes an option that is an address.
func address(a netip.Addr, preferred, valid uint32, options ...byte) []byte {
	b := a.AsSlice()
	b = binary.BigEndian.AppendUint32(b, preferred)
	b = binary.BigEndian.AppendUint32(b, valid)
	return message(nil).add(optAddress, append(b, options...)...)
}

// iana makes an IA_NA.
func iana(t1, t2 uint32, options ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, iaid}, t1)
	b = binary.BigEndian.AppendUint32(b, t2)
	return message(nil).add(optIANA, append(b, options...)...)
}

func code(n byte) []byte { return message(nil).add(optStatus, append([]byte{0, n}, "no"...)...) }

// serve is a server that gives leases.
func (w *world) serve(kind byte, m message) []byte {
	var list []byte
	for _, a := range w.addrs {
		list = append(list, address(a, w.valid*3/5, w.valid)...)
	}
	switch kind {
	case solicit:
		return toClient(w.message(advertise, m, iana(0, 0, list...)...))
	case request, renew, rebind:
		if s := m.option(optServer); s != nil && string(s) != string(w.server) {
			return nil
		}
		return toClient(w.message(reply, m, iana(0, 0, list...)...))
	case inform:
		return toClient(w.message(reply, m))
	}
	return nil
}

func nobody(byte, message) []byte { return nil }

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

func (w *world) start(m Mode) *world { w.c.Start(w.now, m); return w }

// expect compares what happened with what was expected, and forgets it.
func (w *world) expect(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.events, want) {
		w.t.Errorf("events:\n got %q\nwant %q", w.events, want)
	}
	w.events = nil
}

func (w *world) expectSent(want string) {
	w.t.Helper()
	var got []string
	for _, s := range w.sent {
		got = append(got, s.what)
	}
	if s := strings.Join(got, " "); s != want {
		w.t.Errorf("sent:\n got %q\nwant %q", s, want)
	}
	w.sent = nil
}
