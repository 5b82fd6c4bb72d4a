package dhcp6

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestLease(t *testing.T) {
	w := newWorld(t).start(Addresses)
	w.until(0)
	w.expect("0s bound [2001:db8::50]")
	w.expectSent("SOLICIT REQUEST")
	w.until(29 * time.Second)
	w.expectSent("")
	w.until(31 * time.Second)
	w.expect("30s renewed [2001:db8::50]")
	w.expectSent("RENEW")
	if m := w.c.lease; m.Server != serverIP || m.Duration != 100*time.Second || m.Preferred != time.Minute || m.T2 != 48*time.Second {
		t.Errorf("%+v", m)
	}
	w.until(61 * time.Second)
	w.expect("1m0s renewed [2001:db8::50]")
}

// TestForever: a lease without an end is not renewed.
func TestForever(t *testing.T) {
	w := newWorld(t)
	w.answer = func(kind byte, m message) []byte {
		k := map[byte]byte{solicit: advertise, request: reply}[kind]
		return toClient(w.message(k, m, iana(1<<32-1, 1<<32-1, address(leased, 1<<32-1, 1<<32-1)...)...))
	}
	w.start(Addresses).until(1000 * time.Hour)
	w.expect("0s bound [2001:db8::50]")
	w.expectSent("SOLICIT REQUEST")
}

// TestInformation: a client that needs no address asks for the rest, again after a
// while, and for an address when a router says that there are.
func TestInformation(t *testing.T) {
	w := newWorld(t)
	w.extra = message(nil).add(optRefresh, 0, 0, 4, 0) // 1024 s
	w.start(Information).until(time.Second)
	w.start(Information).until(2 * time.Second) // nothing new
	w.expect("0s informed []")
	w.expectSent("INFORM")
	w.until(1025 * time.Second)
	w.expect("17m4s informed []")
	w.expectSent("INFORM")
	w.start(Addresses).until(w.now)
	w.start(Information).until(w.now + time.Second)
	w.expect("17m5s bound [2001:db8::50]")
	w.expectSent("SOLICIT REQUEST")
}

// TestBackoff: without a server the client goes on, ever more slowly, and says so once.
func TestBackoff(t *testing.T) {
	for _, mode := range []Mode{Information, Addresses} {
		w := newWorld(t)
		w.answer = nobody
		w.start(mode).until(30 * time.Minute)
		if len(w.events) != 1 || w.sent[3].at.String()+" no answer" != w.events[0] {
			t.Errorf("events %q, the fourth message at %v", w.events, w.sent[3].at)
		}
		for i := 1; i < len(w.sent); i++ {
			want := min(firstWait<<min(i-1, 10), maxSolicit)
			if d := w.sent[i].at - w.sent[i-1].at; d < want-want/10 || d > want+want/10 {
				t.Errorf("message %d came %v after the one before, want %v", i, d, want)
			}
		}
		w.events = nil
		w.answer = w.serve
		w.until(w.now + 2*maxSolicit)
		if len(w.events) == 0 {
			t.Error("a server came, and was not asked")
		}
	}
}

// TestMaxSolicit: a server without addresses may say how often it is asked.
func TestMaxSolicit(t *testing.T) {
	w := newWorld(t)
	w.extra = message(nil).add(optMaxSol, 0, 0, 0, 60)
	w.answer = func(kind byte, m message) []byte { return toClient(w.message(advertise, m, code(2)...)) }
	w.start(Addresses).until(time.Hour)
	if n := len(w.sent); n < 60 || n > 75 {
		t.Errorf("%d messages in an hour", n)
	}
	if len(w.events) != 1 {
		t.Errorf("events %q", w.events)
	}
}

// TestServerGone: renewing, rebinding, what is not preferred, the end, and a server that is back.
func TestServerGone(t *testing.T) {
	w := newWorld(t).start(Addresses)
	w.until(time.Second)
	w.expect("0s bound [2001:db8::50]")
	w.sent = nil
	w.answer = nobody
	w.until(99 * time.Second)
	w.expect("1m0s deprecated [2001:db8::50]")
	renewed, rebound := 0, 0
	for _, s := range w.sent {
		switch {
		case s.what == "RENEW" && s.at >= 30*time.Second && s.at < 48*time.Second && string(s.m.option(optServer)) == string(serverID):
			renewed++
		case s.what == "REBIND" && s.at >= 48*time.Second && s.m.option(optServer) == nil:
			rebound++
		default:
			t.Errorf("at %v sent %s", s.at, s.what)
		}
	}
	if renewed < 2 || rebound < 2 || renewed+rebound > 10 {
		t.Errorf("%d requests to the server, %d to everybody", renewed, rebound)
	}
	w.until(101 * time.Second)
	w.expect("1m40s expired [2001:db8::50]")
	w.answer = w.serve
	w.until(110 * time.Second)
	if len(w.events) != 1 {
		t.Errorf("events %q", w.events)
	}
}

// TestRebind: another server, with the same leases, takes over.
func TestRebind(t *testing.T) {
	w := newWorld(t).start(Addresses)
	w.until(time.Second)
	w.events = nil
	w.server = []byte{0, 2, 9, 9}
	w.until(47 * time.Second)
	w.expect()
	w.until(50 * time.Second)
	w.expect("48s renewed [2001:db8::50]")
	if string(w.c.server) != string(w.server) {
		t.Errorf("server %x", w.c.server)
	}
}

// TestSlept: time went by without the client, past the lease's end.
func TestSlept(t *testing.T) {
	w := newWorld(t).start(Addresses)
	w.until(time.Second)
	w.now = time.Hour
	w.events = nil
	w.tick()
	w.expect("1h0m0s expired [2001:db8::50]", "1h0m0s bound [2001:db8::50]")
}

// TestAddressesChange: a server that renumbers its network.
func TestAddressesChange(t *testing.T) {
	w := newWorld(t)
	w.addrs = []netip.Addr{leased, other}
	w.start(Addresses).until(time.Second)
	w.addrs = []netip.Addr{other}
	w.until(31 * time.Second)
	w.expect("0s bound [2001:db8::50 2001:db8:1::51]", "30s renewed [2001:db8:1::51]")
}

// TestNoBinding: a server that does not know the lease gives it again, or not.
func TestNoBinding(t *testing.T) {
	w := newWorld(t).start(Addresses)
	w.until(time.Second)
	w.events = nil
	forgot := true
	w.answer = func(kind byte, m message) []byte {
		if kind == renew && forgot {
			return toClient(w.message(reply, m, iana(0, 0, code(statusNoBinding)...)...))
		}
		return w.serve(kind, m)
	}
	w.sent = nil
	w.until(31 * time.Second)
	w.expect("30s renewed [2001:db8::50]")
	w.expectSent("RENEW REQUEST")
	w.answer = func(kind byte, m message) []byte {
		return toClient(w.message(reply, m, iana(0, 0, code(statusNoBinding)...)...))
	}
	w.until(61*time.Second + refusedWait)
	w.expect("1m0s refused [2001:db8::50]")
	w.expectSent("RENEW REQUEST SOLICIT")
}

// TestTakenBack: a server that takes the address back is asked for another one, and
// without one the address is given up at once.
func TestTakenBack(t *testing.T) {
	for _, next := range []bool{true, false} {
		w := newWorld(t).start(Addresses)
		w.until(time.Second)
		w.events, w.sent = nil, nil
		w.answer = func(kind byte, m message) []byte {
			list := address(leased, 0, 0)
			if kind == request && next {
				list = append(list, address(other, 60, 100)...)
			}
			return toClient(w.message(reply, m, iana(0, 0, list...)...))
		}
		w.until(30 * time.Second)
		if next {
			w.expect("30s renewed [2001:db8:1::51]")
		} else {
			w.expect("30s refused [2001:db8::50]")
		}
		w.expectSent("RENEW REQUEST")
	}
}

// TestRefused: what the server promised, it does not give.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	w.answer = func(kind byte, m message) []byte {
		if kind == request {
			return toClient(w.message(reply, m, iana(0, 0, code(2)...)...))
		}
		return w.serve(kind, m)
	}
	w.start(Addresses).until(10 * time.Second)
	w.expect()
	if n := len(w.sent); n < 4 || n > 24 {
		t.Errorf("%d messages in ten seconds", n)
	}
}

// TestRequestLost: a server that offers and is gone.
func TestRequestLost(t *testing.T) {
	w := newWorld(t)
	w.answer = func(kind byte, m message) []byte {
		if kind == request {
			return nil
		}
		return w.serve(kind, m)
	}
	w.start(Addresses).until(5 * time.Minute)
	n := 0
	for _, s := range w.sent {
		if s.what == "SOLICIT" {
			n++
		}
	}
	if n < 2 || n > 5 || len(w.sent) > 40 {
		t.Errorf("asked %d times, %d messages", n, len(w.sent))
	}
}

func TestConflict(t *testing.T) {
	w := newWorld(t)
	w.addrs = []netip.Addr{leased, other}
	w.start(Addresses).until(time.Second)
	w.events, w.sent = nil, nil
	w.c.Duplicate(w.now, netip.MustParseAddr("2001:db8::1"))
	w.expect()
	w.c.Duplicate(w.now, leased)
	w.expect("1s conflict [2001:db8::50]")
	w.c.Duplicate(w.now, other)
	w.expect("1s conflict [2001:db8:1::51]")
	w.c.Duplicate(w.now, other)
	w.expectSent("DECLINE DECLINE")
	w.until(w.now + declineWait - 1)
	w.expectSent("")
	w.until(w.now + 1)
	w.expect("11s bound [2001:db8::50 2001:db8:1::51]")
}

// TestNotForUs: what is not an answer of the server's to what was asked is nothing.
func TestNotForUs(t *testing.T) {
	for name, spoil := range map[string]func(w *world, b []byte) []byte{
		"another number": func(w *world, b []byte) []byte { b[etherLen+ipLen+udpLen+2]++; return b },
		"cut":            func(w *world, b []byte) []byte { return b[:len(b)-3] },
		"another machine": func(w *world, b []byte) []byte {
			b[etherLen+39]++
			return b
		},
		"another client": func(w *world, b []byte) []byte { b[etherLen+ipLen+udpLen+headLen+4+5]++; return b },
		"port":           func(w *world, b []byte) []byte { b[etherLen+ipLen+3]++; return b },
		"a group":        func(w *world, b []byte) []byte { b[etherLen+8] = 0xff; return b },
		"another kind":   func(w *world, b []byte) []byte { b[etherLen+ipLen+udpLen] = 10; return b },
	} {
		w := newWorld(t)
		w.answer = func(kind byte, m message) []byte {
			b := w.serve(kind, m)
			w.c.Frame(w.now, spoil(w, append([]byte(nil), b...)), true)
			return nil
		}
		w.start(Addresses).until(3 * time.Second)
		if len(w.events) > 0 || w.sent[len(w.sent)-1].what != "SOLICIT" {
			t.Errorf("%s: %q %v", name, w.events, w.sent)
		}
	}
	w := newWorld(t)
	w.answer = func(kind byte, m message) []byte { // of a server that was not asked
		b := w.serve(kind, m)
		if kind == request {
			w.server = []byte{0, 2, 7, 7}
			b = toClient(w.message(reply, m, iana(0, 0, address(other, 60, 100)...)...))
		}
		return b
	}
	w.start(Addresses).until(3 * time.Second)
	w.expect()
}

// TestRandomWorld: with a server that answers at random, there is a lease in the end,
// and never one that was not notified.
func TestRandomWorld(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t)
		honest := false
		w.answer = func(kind byte, m message) []byte {
			b := w.serve(kind, m)
			switch n := r.IntN(6); {
			case honest || b == nil || n > 3:
				return b
			case n == 0:
				return nil
			case n == 1:
				return toClient(w.message(reply, m, iana(0, 0, code(byte(r.IntN(7)))...)...))
			case n == 2:
				return toClient(w.message(advertise, m, code(byte(r.IntN(7)))...))
			}
			b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
			return b
		}
		w.start(Addresses).until(time.Duration(1+r.IntN(30)) * time.Minute)
		if len(w.sent) > 3000 {
			t.Fatalf("%d messages", len(w.sent))
		}
		honest = true
		w.until(w.now + 10*time.Minute)
		if !w.c.held || w.c.state != bound {
			t.Fatalf("seed %d: no lease: state %d, %q", seed, w.c.state, w.events)
		}
	}
}
