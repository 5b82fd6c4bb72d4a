package dhcp6

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// answer returns a message of the server's with these options.
func answer(options ...byte) message {
	m := message{reply, 0, 0, 0}.add(optClient, duid(clientMAC)...).add(optServer, serverID...)
	return append(m, options...)
}

func TestLeaseOptions(t *testing.T) {
	dns, ntp := netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("2001:db8::123")
	m := answer(iana(100, 200, append(address(leased, 300, 400), address(other, 250, 500)...)...)...)
	m = m.add(optDNS, append(dns.AsSlice(), serverIP.AsSlice()...)...)
	m = m.add(optSearch, []byte("\x01a\x07example\x03com\x00\x01b\x00")...)
	m = m.add(optNTP, message(nil).add(1, ntp.AsSlice()...)...).add(optSNTP, ntp.AsSlice()...)
	l, code := m.lease(serverIP)
	got := fmt.Sprint(code, l)
	want := "0 {[2001:db8::50 2001:db8:1::51] fe80::2 [2001:db8::53 fe80::2] [2001:db8::123] [a.example.com b] 4m10s 6m40s 1m40s 3m20s}"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		t1, t2, preferred, valid uint32
		want                     string
	}{
		{0, 0, 60, 100, "30s 48s"},
		{20, 0, 60, 100, "20s 48s"},
		{0, 40, 60, 100, "30s 40s"},
		{0, 10, 60, 100, "5s 10s"},
		{50, 40, 60, 100, ""}, // section 21.4
		{200, 300, 60, 100, "30s 48s"},
		{0, 0, 0, 100, "50s 1m20s"},
		{0, 0, 1, 100, "50s 1m20s"},
		{0, 0, 101, 100, ""}, // section 21.6
		{0, 0, 4, 4, ""},
		{0, 0, 60, 0, ""},
		{0, 0, 1<<32 - 1, 1<<32 - 1, Forever.String() + " " + Forever.String()},
		{0, 0, 60, 1<<32 - 1, Forever.String() + " " + Forever.String()},
	} {
		l, code := answer(iana(c.t1, c.t2, address(leased, c.preferred, c.valid)...)...).lease(serverIP)
		if got := fmt.Sprint(l.T1, l.T2); (code == statusOK) != (c.want != "") || code == statusOK && got != c.want {
			t.Errorf("%+v: code %d, %s", c, code, got)
		}
	}
}

// TestAddresses: none that a machine cannot have, none twice, and not too many.
func TestAddresses(t *testing.T) {
	for _, a := range []string{"::", "::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"} {
		if _, code := answer(iana(0, 0, address(netip.MustParseAddr(a), 60, 100)...)...).lease(serverIP); code == statusOK {
			t.Errorf("%s was accepted", a)
		}
	}
	var many []byte
	for i := range 200 {
		b := leased.As16()
		b[15] = byte(i / 2)
		many = append(many, address(netip.AddrFrom16(b), 60, 100)...)
	}
	l, _ := answer(iana(0, 0, many...)...).lease(serverIP)
	if len(l.Addrs) != maxAddrs || l.Addrs[0] == l.Addrs[1] {
		t.Errorf("%v", l.Addrs)
	}
	l, _ = answer(slices.Concat(message(nil).add(optDNS, bytes.Repeat(leased.AsSlice(), 300)...), message(nil).add(optSNTP, many...),
		message(nil).add(optSearch, bytes.Repeat([]byte("\x01a\x00"), 100)...))...).lease(serverIP)
	if len(l.DNS) != 1 || len(l.NTP) > maxServers || len(l.Search) > 8 {
		t.Errorf("%v", l)
	}
	refused := address(leased, 60, 100, code(5)...)
	if _, c := answer(iana(0, 0, refused...)...).lease(serverIP); c == statusOK {
		t.Error("an address that is refused was accepted")
	}
}

func TestCheck(t *testing.T) {
	good := answer()
	if !good.check(clientMAC, 0) {
		t.Fatal("an answer is none")
	}
	id := message{reply, 0, 0, 0}.add(optClient, duid(clientMAC)...)
	for name, m := range map[string]message{
		"empty":           {},
		"without servers": id,
		"short server":    id.add(optServer, 0, 1),
		"long server":     id.add(optServer, make([]byte, maxDUID+1)...),
		"no client":       message{reply, 0, 0, 0}.add(optServer, serverID...),
		"cut":             append(slices.Clone(good), 0, 13, 0, 2, 0),
		"half an option":  append(slices.Clone(good), 0, 13, 0),
	} {
		if m.check(clientMAC, 0) {
			t.Errorf("%s: accepted", name)
		}
	}
	if good.check(clientMAC, 1) || good.check(serverMAC, 0) {
		t.Error("an answer to somebody else was accepted")
	}
}

func TestName(t *testing.T) {
	for name, want := range map[string]string{"web-1": "\x01\x05web-1", "a.example": "\x01\x01a\x07example", "": "", "a..b": ""} {
		if got := string(message(nil).add(0)[4:].addName(name).fqdn()); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func (m message) fqdn() []byte { return find(m, optFQDN) }

func TestRefresh(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"\x00\x00\x00\x01": minRefresh, "\x00\x00\x04\x00": 1024 * time.Second, "\xff\xff\xff\xff": maxRefresh, "\x00": maxRefresh,
	} {
		if got := answer().add(optRefresh, []byte(v)...).refresh(); got != want {
			t.Errorf("%x: %v, want %v", v, got, want)
		}
	}
}

// FuzzLease: of any answer nothing comes that the rest of the system would have
// to doubt.
func FuzzLease(f *testing.F) {
	f.Add([]byte(answer(iana(10, 20, address(leased, 60, 100)...)...)))
	f.Add([]byte(answer(message(nil).add(optNTP, message(nil).add(1, leased.AsSlice()...)...)...).add(optSearch, 1, 'a', 0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := message(b)
		if !m.check(clientMAC, 0) {
			return
		}
		l, code := m.lease(serverIP)
		if (code == statusOK) != (len(l.Addrs) > 0) {
			t.Errorf("code %d, addresses %v", code, l.Addrs)
		}
		if code == statusOK && (l.T1 <= 0 || l.T1 > l.T2 || l.T2 > l.Duration || l.Preferred > l.Duration || l.Duration < minLease) {
			t.Errorf("times %v %v %v %v", l.T1, l.T2, l.Preferred, l.Duration)
		}
		for _, a := range l.Addrs {
			if !isHost(a) {
				t.Errorf("address %v", a)
			}
		}
		if len(l.Addrs) > maxAddrs || len(l.DNS) > maxServers || len(l.NTP) > maxServers || len(l.Search) > 8 {
			t.Errorf("too much: %v", l)
		}
		if r := m.refresh(); r < minRefresh || r > maxRefresh {
			t.Errorf("refresh %v", r)
		}
	})
}

// FuzzFrame: any frame at any time; the client survives and stays bounded.
func FuzzFrame(f *testing.F) {
	f.Add(toClient(answer(iana(0, 0, address(leased, 60, 100)...)...)), byte(0))
	f.Add(toClient(answer(code(statusNoBinding)...)), byte(3))
	f.Fuzz(func(t *testing.T, b []byte, stage byte) {
		w := newWorld(t)
		if stage&0x40 != 0 {
			w.answer = nobody
		}
		w.start(Mode(1 + stage>>5&1)).until([]time.Duration{0, time.Millisecond, time.Second, 30 * time.Second, 50 * time.Second}[stage%5])
		if len(b) > etherLen+ipLen+udpLen+4 { // what only who sees the client's messages can know
			b[etherLen+ipLen+udpLen+1], b[etherLen+ipLen+udpLen+2], b[etherLen+ipLen+udpLen+3] = byte(w.c.xid>>16), byte(w.c.xid>>8), byte(w.c.xid)
		}
		w.c.Frame(w.now, b, stage&0x80 != 0)
		w.until(w.now + 10*time.Minute)
		if len(w.sent) > 700 {
			t.Errorf("%d frames in ten minutes", len(w.sent))
		}
	})
}
