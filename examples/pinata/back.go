package main

import (
	"net/netip"
	"sync"
	"time"
)

// What bounds connections back, in all. Nobody is connected to who has not just
// completed a TCP handshake from there, and never to another port than the one:
// so this cannot look for ports, and answers each packet with less than one.
const (
	maxBacks       = 16  // at a time
	maxBacksSecond = 20  // begun in a second
	maxRemembered  = 512 // peers
)

// backs decides to whom to connect back. Several goroutines may use it.
type backs struct {
	every time.Duration // between two to one peer

	mu     sync.Mutex
	open   int
	second int64 // of Unix time
	begun  int   // in that second
	last   map[netip.Prefix]time.Time
}

func newBacks(every time.Duration) *backs {
	return &backs{every: every, last: map[netip.Prefix]time.Time{}}
}

// begin reports whether to connect to a peer now; end must be called after it.
func (b *backs) begin(peer netip.Prefix, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Unix() != b.second {
		b.second, b.begun = now.Unix(), 0
	}
	if b.open >= maxBacks || b.begun >= maxBacksSecond || !b.remember(peer, now) {
		return false
	}
	b.open++
	b.begun++
	return true
}

// remember notes that peer is connected to, unless it was a short time ago.
func (b *backs) remember(peer netip.Prefix, now time.Time) bool {
	if last, ok := b.last[peer]; ok && now.Sub(last) < b.every {
		return false
	}
	if len(b.last) >= maxRemembered {
		for p, t := range b.last {
			if now.Sub(t) >= b.every {
				delete(b.last, p)
			}
		}
	}
	if len(b.last) >= maxRemembered {
		return false
	}
	b.last[peer] = now
	return true
}

func (b *backs) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
}
