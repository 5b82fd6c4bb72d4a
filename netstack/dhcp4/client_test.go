package dhcp4

import (
	"math/rand/v2"
	"testing"
	"time"
)

const everybody = "255.255.255.255"

func TestLease(t *testing.T) {
	w := newWorld(t).start()
	w.until(0)
	w.expect()
	w.until(probeWait)
	w.expect("20ms bound 192.0.2.50/24")
	w.expectSent("DISCOVER to "+everybody, "REQUEST to "+everybody, "ARP 0.0.0.0 192.0.2.50", "ARP 192.0.2.50 192.0.2.50")
	w.until(49 * time.Second)
	w.expect()
	w.until(51 * time.Second)
	w.expect("50s renewed 192.0.2.50/24")
	w.expectSent("REQUEST to 192.0.2.1")
	w.until(101 * time.Second)
	w.expect("1m40s renewed 192.0.2.50/24")
}

// TestForever: a lease without an end is not renewed.
func TestForever(t *testing.T) {
	w := newWorld(t)
	w.extra = []byte{optLease, 0}
	w.answer = func(kind byte, m message, d datagram) []byte {
		k := map[byte]byte{discover: offer, request: ack}[kind]
		return w.reply(k, m, optLease, 4, 255, 255, 255, 255)
	}
	w.start().until(1000 * time.Hour)
	w.expect("20ms bound 192.0.2.50/24")
	if len(w.sent) != 4 {
		t.Errorf("sent %v", w.sent)
	}
}

// TestBackoff: without a server the client goes on, ever more slowly, and says
// so once.
func TestBackoff(t *testing.T) {
	w := newWorld(t)
	w.answer = func(byte, message, datagram) []byte { return nil }
	w.start().until(20 * time.Minute)
	if len(w.events) != 1 || w.sent[3].at.String()+" no answer" != w.events[0] {
		t.Errorf("events %q, the fourth message at %v", w.events, w.sent[3].at)
	}
	for i := 1; i < len(w.sent); i++ {
		want := min(firstWait<<min(i-1, 6), maxWait)
		if d := w.sent[i].at - w.sent[i-1].at; d < want-want/8 || d > want+want/8 {
			t.Errorf("message %d came %v after the one before, want %v", i, d, want)
		}
	}
	w.events = nil
	w.answer = w.serve
	w.until(w.now + 2*maxWait)
	if len(w.events) == 0 {
		t.Error("a server came, and was not asked")
	}
}

// TestServerGone: renewing, rebinding, the end, and a server that is back.
func TestServerGone(t *testing.T) {
	w := newWorld(t).start()
	w.until(time.Second)
	w.expect("20ms bound 192.0.2.50/24")
	w.sent = nil
	w.answer = func(byte, message, datagram) []byte { return nil }
	w.until(99 * time.Second)
	w.expect()
	unicast, broadcast := 0, 0
	for _, s := range w.sent {
		switch {
		case s.what == "REQUEST to 192.0.2.1" && s.at >= 50*time.Second && s.at < 87*time.Second:
			unicast++
		case s.what == "REQUEST to "+everybody && s.at >= 87*time.Second:
			broadcast++
		default:
			t.Errorf("at %v sent %s", s.at, s.what)
		}
	}
	if unicast < 2 || broadcast < 1 || unicast+broadcast > 10 {
		t.Errorf("%d requests to the server, %d to everybody", unicast, broadcast)
	}
	w.until(101 * time.Second)
	w.expect("1m40s expired 192.0.2.50/24")
	w.answer = w.serve
	w.until(110 * time.Second)
	if len(w.events) != 1 {
		t.Errorf("events %q", w.events)
	}
}

// TestRebind: another server, with the same leases, takes over.
func TestRebind(t *testing.T) {
	w := newWorld(t).start()
	w.until(time.Second)
	w.events = nil
	w.server = [4]byte{192, 0, 2, 9}
	w.until(80 * time.Second)
	w.expect() // answers to what was sent to the first one
	w.until(90 * time.Second)
	w.expect("1m27.5s renewed 192.0.2.50/24")
	if w.c.lease.Server.String() != "192.0.2.9" {
		t.Errorf("server %v", w.c.lease.Server)
	}
}

// TestSlept: time went by without the client, past the lease's end.
func TestSlept(t *testing.T) {
	w := newWorld(t).start()
	w.until(time.Second)
	w.now = time.Hour
	w.events = nil
	w.tick()
	w.expect("1h0m0s expired 192.0.2.50/24")
	w.until(w.now + time.Second)
	w.expect("1h0m0.02s bound 192.0.2.50/24")
}

func TestRefused(t *testing.T) {
	refuse := func(w *world) func(byte, message, datagram) []byte {
		return func(kind byte, m message, d datagram) []byte {
			if kind == request {
				return w.reply(nak, m)
			}
			return w.serve(kind, m, d)
		}
	}
	t.Run("at first", func(t *testing.T) {
		w := newWorld(t)
		w.answer = refuse(w)
		w.start().until(10 * time.Second)
		w.expect()
		if len(w.sent) != 22 { // each second anew
			t.Errorf("%d messages", len(w.sent))
		}
		w.answer = w.serve
		w.until(12 * time.Second)
		if len(w.events) != 1 {
			t.Errorf("events %q", w.events)
		}
	})
	t.Run("later", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(time.Second)
		w.events = nil
		w.answer = refuse(w)
		w.until(50 * time.Second)
		w.expect("50s refused 192.0.2.50/24")
		w.answer = w.serve
		w.until(52 * time.Second)
		w.expect("51.02s bound 192.0.2.50/24")
	})
	t.Run("by a stranger", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(time.Second)
		w.events = nil
		w.server = [4]byte{192, 0, 2, 66}
		w.answer = refuse(w)
		w.until(80 * time.Second)
		w.expect()
	})
}

// TestConflict: somebody else has the address.
func TestConflict(t *testing.T) {
	other := [6]byte{2, 0, 0, 0, 0, 9}
	t.Run("at first", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(0)
		w.sent = nil
		w.c.Frame(w.now, arp(other, leasedIP, [4]byte{}), false)
		w.expect("0s conflict 192.0.2.50/24")
		w.expectSent("DECLINE to " + everybody)
		w.until(9 * time.Second)
		w.expectSent()
		w.until(11 * time.Second)
		w.expect("10.02s bound 192.0.2.50/24")
	})
	t.Run("late answer", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(time.Second)
		w.c.Frame(w.now, arp(other, leasedIP, [4]byte{}), false)
		w.expect("20ms bound 192.0.2.50/24", "1s conflict 192.0.2.50/24")
	})
	t.Run("probe while probing", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(0)
		w.c.Frame(w.now, arp(other, [4]byte{}, leasedIP), false)
		w.expect("0s conflict 192.0.2.50/24")
	})
	t.Run("probe in use", func(t *testing.T) {
		w := newWorld(t).start()
		for _, at := range []time.Duration{time.Second, 30 * time.Second} {
			w.until(at)
			w.c.Frame(w.now, arp(other, [4]byte{}, leasedIP), false)
		}
		w.expect("20ms bound 192.0.2.50/24")
	})
	t.Run("later", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(30 * time.Second)
		w.sent = nil
		for range 3 {
			w.c.Frame(w.now, arp(other, leasedIP, [4]byte{}), false)
		}
		w.expect("20ms bound 192.0.2.50/24", "30s contested 192.0.2.50/24")
		w.expectSent("ARP 192.0.2.50 192.0.2.50")
	})
	t.Run("own or other", func(t *testing.T) {
		w := newWorld(t).start()
		w.until(0)
		w.c.Frame(w.now, arp(clientMAC, leasedIP, leasedIP), false)
		w.c.Frame(w.now, arp(other, [4]byte{192, 0, 2, 51}, leasedIP), false)
		w.until(time.Second)
		w.expect("20ms bound 192.0.2.50/24")
	})
}

// TestIgnored: answers that are not for this client, or not what was asked for.
func TestIgnored(t *testing.T) {
	for name, spoil := range map[string]func(b []byte){
		"id":          func(b []byte) { b[42+atXID]++ },
		"mac":         func(b []byte) { b[42+atMAC]++ },
		"a request":   func(b []byte) { b[42] = opRequest },
		"cookie":      func(b []byte) { b[42+atCookie]++ },
		"ip checksum": func(b []byte) { b[24]++ },
		"fragment":    func(b []byte) { b[20], b[24] = 0x20, b[24]-0x20 },
		"source port": func(b []byte) { b[35]++ },
		"no address":  func(b []byte) { copy(b[42+atYours:], []byte{0, 0, 0, 0}) },
		"loopback":    func(b []byte) { copy(b[42+atYours:], []byte{127, 0, 0, 1}) },
		"multicast":   func(b []byte) { copy(b[42+atYours:], []byte{224, 0, 0, 1}) },
		"option":      func(b []byte) { b[42+atOptions+1] = 200 },
	} {
		w := newWorld(t)
		w.answer = func(kind byte, m message, d datagram) []byte {
			b := w.serve(kind, m, d)
			spoil(b)
			b[40], b[41] = 0, 0 // no checksum of UDP
			return b
		}
		w.start().until(time.Second)
		if len(w.events) != 0 || w.sent[len(w.sent)-1].what != "DISCOVER to "+everybody {
			t.Errorf("%s: %v %v", name, w.events, w.sent)
		}
	}
	w := newWorld(t)
	w.answer = func(kind byte, m message, d datagram) []byte {
		b := w.serve(kind, m, d)
		b[60]++ // which the checksum of UDP tells
		return b
	}
	w.start().until(time.Second)
	w.expect()
}

// TestStorm: whatever comes, the client does not send without end.
func TestStorm(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	w := newWorld(t)
	w.answer = func(kind byte, m message, d datagram) []byte {
		switch r.IntN(5) {
		case 0:
			return nil
		case 1:
			return w.reply(byte(r.IntN(9)), m, optLease, 4, 0, 0, 0, byte(r.IntN(256)), optT1, 4, 0, 0, byte(r.IntN(2)), byte(r.IntN(256)), optT2, 4, 0, 0, 0, byte(r.IntN(256)))
		case 2:
			return w.reply(nak, m)
		}
		return w.serve(kind, m, d)
	}
	w.start()
	const hours = 10
	w.until(hours * time.Hour)
	if n := len(w.sent); n > hours*3600*4 || n < 100 {
		t.Errorf("%d frames in %d hours", n, hours)
	}
}
