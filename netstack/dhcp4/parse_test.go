package dhcp4

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcpwire"
)

// withOptions returns an ACK with these options, in bounds of its own.
func withOptions(options ...byte) message {
	m := make(message, atOptions, atOptions+20+len(options))
	m[0], m[1], m[2] = opReply, 1, 6
	copy(m[atYours:], leasedIP[:])
	copy(m[atMAC:], clientMAC[:])
	copy(m[atCookie:], []byte{0x63, 0x82, 0x53, 0x63})
	m = m.add(optServer, serverIP[:]...)
	return append(m, options...)
}

func TestLeaseOptions(t *testing.T) {
	m := withOptions(slices.Concat([]byte{
		optLease, 4, 0, 0, 14, 16, optMask, 4, 255, 255, 255, 128, optRouter, 8, 192, 0, 2, 1, 192, 0, 2, 2,
		optDNS, 4, 192, 0, 2, 53, optPad, optDNS, 4, 192, 0, 2, 54, // in parts
		optNTP, 4, 192, 0, 2, 123, optMTU, 2, 5, 120,
	}, option(optHostname, "web-1\x00"), option(optDomain, "example.com"),
		option(optSearch, "\x01a\x07example\x03com\x00\x01b\xc0\x02\x03eng\xc0\x0f"), []byte{optEnd, 77})...)
	l, ok := m.lease()
	got := fmt.Sprint(ok, l)
	want := "true {192.0.2.50/25 192.0.2.1 [{0.0.0.0/0 192.0.2.1}] [192.0.2.53 192.0.2.54] [192.0.2.123] " +
		"web-1 example.com [a.example.com b.example.com eng.b.example.com] 1400 1h0m0s 30m0s 52m30s}"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// TestIsReply: where a fragment that is not the first has its datagram's data, the
// others have ports.
func TestIsReply(t *testing.T) {
	ip := toClient(withOptions(optEnd))[etherLen:]
	if !IsReply(ip) {
		t.Error("a reply is none")
	}
	for _, fragment := range []uint16{0x2000, 1, 0x2001, 0x1fff} { // more, and at an offset
		if binary.BigEndian.PutUint16(ip[6:], fragment); IsReply(ip) {
			t.Errorf("a fragment is a reply: %#04x", fragment)
		}
	}
	if binary.BigEndian.PutUint16(ip[6:], 0x4000); !IsReply(ip) {
		t.Error("a reply that must not be fragmented is none")
	}
}

func option(code byte, v string) []byte { return append([]byte{code, byte(len(v))}, v...) }

// TestOverload: options in the fields for names (RFC 2132 section 9.3).
func TestOverload(t *testing.T) {
	for lent, want := range []string{"", "f", "s", "fs"} {
		m := withOptions(optOverload, 1, byte(lent), optEnd)
		copy(m[atFile:], "\x0c\x01f\xff")
		copy(m[atName:], "\x0c\x01s\xff")
		if got := string(m.option(optHostname)); got != want {
			t.Errorf("%d: %q, want %q", lent, got, want)
		}
	}
	m := withOptions(optOverload, 1, 1, optEnd)
	m[atFile], m[atFile+1] = optHostname, 200
	if checkReply(m, clientMAC, 0) {
		t.Error("an option that leaves its field was accepted")
	}
}

func TestRoutes(t *testing.T) {
	for _, c := range []struct {
		classless []byte
		want      string
	}{
		{[]byte{0, 192, 0, 2, 2}, "[{0.0.0.0/0 192.0.2.2}]"},
		{[]byte{24, 10, 1, 2, 192, 0, 2, 2, 9, 10, 0xff, 0, 0, 0, 0}, "[{10.1.2.0/24 192.0.2.2} {10.128.0.0/9 invalid IP}]"},
		{[]byte{32, 127, 0, 0, 1, 192, 0, 2, 2, 4, 224, 192, 0, 2, 2, 8, 10, 127, 0, 0, 1}, "[]"}, // not the network's to give
		{[]byte{33, 1, 2, 3, 4, 5, 192, 0, 2, 2}, "[{0.0.0.0/0 192.0.2.1}]"},
		{[]byte{24, 10, 1, 2, 192, 0, 2}, "[{0.0.0.0/0 192.0.2.1}]"},
		{bytes.Repeat([]byte{0, 192, 0, 2, 2}, 51), "[" + strings.Repeat("{0.0.0.0/0 192.0.2.2} ", 31) + "{0.0.0.0/0 192.0.2.2}]"},
	} {
		m := withOptions(append([]byte{optLease, 4, 0, 0, 1, 0, optRouter, 4, 192, 0, 2, 1}, option(optClassless, string(c.classless))...)...)
		if l, ok := m.lease(); !ok || fmt.Sprint(l.Routes) != c.want {
			t.Errorf("%v: %v %v, want %s", c.classless, ok, l.Routes, c.want)
		}
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ yours, mask, want string }{
		{"\x0a\x00\x00\x01", "", "10.0.0.1/8"},
		{"\xac\x10\x00\x01", "", "172.16.0.1/16"},
		{"\xc0\x00\x02\x01", "", "192.0.2.1/24"},
		{"\xc0\x00\x02\x01", "\xff\xff\xff\xff", "192.0.2.1/32"},
		{"\xc0\x00\x02\x01", "\xff\xff\x00\xff", ""},
		{"\xc0\x00\x02\x01", "\x00\x00\x00\x00", ""},
		{"\xc0\x00\x02\x01", "\xff\xff\xff", ""},
		{"\xff\xff\xff\xff", "", ""},
		{"\x00\x00\x00\x01", "", ""},
	} {
		m := withOptions(append([]byte{optLease, 4, 0, 0, 1, 0}, option(optMask, c.mask)...)...)
		copy(m[atYours:], c.yours)
		if l, ok := m.lease(); ok != (c.want != "") || ok && l.Addr.String() != c.want {
			t.Errorf("%x %x: %v %v, want %s", c.yours, c.mask, ok, l.Addr, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		lease, t1, t2 byte
		want          string
	}{
		{100, 0, 0, "50s 1m27.5s"},
		{100, 20, 40, "20s 40s"},
		{100, 40, 20, "10s 20s"},
		{100, 60, 0, "1m0s 1m27.5s"},
		{100, 200, 255, "50s 1m27.5s"},
		{100, 0, 50, "25s 50s"},
		{4, 1, 2, ""},
		{0, 0, 0, ""},
	} {
		m := withOptions(optLease, 4, 0, 0, 0, c.lease, optT1, 4, 0, 0, 0, c.t1, optT2, 4, 0, 0, 0, c.t2)
		l, ok := m.lease()
		if got := fmt.Sprint(l.T1, l.T2); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%v: %v %s", c, ok, got)
		}
	}
	if _, ok := withOptions().lease(); ok {
		t.Error("a lease without a time was accepted")
	}
}

// FuzzLease: of any answer nothing comes that the rest of the system would have
// to doubt.
func FuzzLease(f *testing.F) {
	f.Add([]byte(withOptions(optLease, 4, 0, 0, 14, 16, optRouter, 4, 192, 0, 2, 1, optSearch, 4, 1, 'a', 0xc0, 0, optEnd)))
	f.Add([]byte(withOptions(slices.Concat([]byte{optOverload, 1, 3, optLease, 4, 0, 0, 14, 16}, option(optClassless, "\x18\x0a\x01\x02\xc0\x00\x02\x01"))...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !checkReply(b, clientMAC, 0) {
			return
		}
		l, ok := message(b).lease()
		if !ok {
			return
		}
		if !l.Addr.IsValid() || l.Addr.Bits() < 1 || l.Addr.Addr().IsLoopback() || l.Addr.Addr().IsMulticast() {
			t.Errorf("address %v", l.Addr)
		}
		if l.T1 <= 0 || l.T1 > l.T2 || l.T2 > l.Duration || l.Duration < minLease {
			t.Errorf("times %v %v %v", l.T1, l.T2, l.Duration)
		}
		for _, r := range l.Routes {
			if r.To.Addr().IsLoopback() || r.To.Addr().IsMulticast() || r.Via.IsLoopback() {
				t.Errorf("route %v", r)
			}
		}
		if len(l.DNS) > maxAddrs || len(l.Routes) > maxRoutes || len(l.Search) > dhcpwire.MaxNames {
			t.Errorf("too much: %v", l)
		}
		for _, n := range append(l.Search, l.Hostname, l.Domain) {
			if dhcpwire.Name([]byte(n)) != n {
				t.Errorf("name %q", n)
			}
		}
	})
}

// FuzzFrame: any frame at any time; the client survives and stays bounded.
func FuzzFrame(f *testing.F) {
	w := newWorld(&testing.T{})
	f.Add(w.reply(offer, withOptions(), optLease, 4, 0, 0, 0, 100), byte(0))
	f.Add(arp(serverMAC, leasedIP, leasedIP), byte(2))
	f.Fuzz(func(t *testing.T, b []byte, stage byte) {
		w := newWorld(t)
		w.start().until([]time.Duration{0, time.Millisecond, time.Second, 30 * time.Second, 60 * time.Second}[stage%5])
		w.c.Frame(w.now, b, stage&0x80 != 0)
		w.until(w.now + 10*time.Minute)
		if len(w.sent) > 600 {
			t.Errorf("%d frames in ten minutes", len(w.sent))
		}
	})
}
