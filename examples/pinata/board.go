package main

import (
	"fmt"
	"hash/maphash"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A door is where attempts are made.
type door int

const (
	serverDoor door = iota
	backDoor
	clientDoor
	doors // how many there are
)

var doorNames = [doors]string{"server", "back", "client"}

// A tally counts the attempts at one door: each that was begun is open, was
// handed the secret, or failed.
type tally struct {
	begun, open, handed, itself, failed atomic.Int64
}

// An event is how an attempt ended, for the picture.
type event struct {
	door    door
	outcome outcome
	from    uint16 // a direction, which says nothing of the address
}

type outcome int

const (
	repelled outcome = iota
	handedOut
	toItself
)

// maxEvents bounds the events that are remembered, and that one message has.
const maxEvents = 48

// A board has the figures. Several goroutines may use it.
type board struct {
	started time.Time
	tallies [doors]tally
	why     [reasons]atomic.Int64
	web     atomic.Int64 // requests
	seed    maphash.Seed // so that directions do not tell addresses

	mu     sync.Mutex
	events [maxEvents]event // that of number n is at n % maxEvents
	number int64            // of the next event
	mem    memory
}

func newBoard() *board { return &board{started: time.Now(), seed: maphash.MakeSeed()} }

func (b *board) begin(d door) {
	b.tallies[d].begun.Add(1)
	b.tallies[d].open.Add(1)
}

// end counts how an attempt of peer ended: err says why the secret was not handed
// out, itself whether it was to this program.
func (b *board) end(d door, peer netip.Prefix, itself bool, err error) {
	t, e := &b.tallies[d], event{door: d, outcome: handedOut, from: uint16(maphash.Comparable(b.seed, peer))}
	switch {
	case err != nil:
		t.failed.Add(1)
		b.why[reasonOf(err)].Add(1)
		e.outcome = repelled
	case itself:
		t.itself.Add(1)
		e.outcome = toItself
		fallthrough
	default:
		t.handed.Add(1)
	}
	t.open.Add(-1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[b.number%maxEvents] = e
	b.number++
	b.mem.look(time.Now())
}

// A memory is what the program has used of it, in bytes.
type memory struct {
	heap, peak, all uint64
	collections     uint32
	looked          time.Time
}

// look reads the figures, unless they are new: that stops the program for a moment.
func (m *memory) look(now time.Time) {
	if now.Sub(m.looked) < 200*time.Millisecond {
		return
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	*m = memory{s.HeapAlloc, max(m.peak, s.HeapAlloc), s.Sys, s.NumGC, now}
}

// json returns the figures and the events from a number on, of which there are
// maxEvents at most, and the number of the next.
func (b *board) json(from int64, doors, web *crowd) ([]byte, int64) {
	text := fmt.Appendf(nil, `{"uptime_seconds":%.1f,"doors":{`, time.Since(b.started).Seconds())
	for d := range b.tallies {
		t := &b.tallies[d]
		text = fmt.Appendf(text, `%s%q:{"begun":%d,"open":%d,"handed":%d,"itself":%d,"failed":%d}`,
			comma(d), doorNames[d], t.begun.Load(), t.open.Load(), t.handed.Load(), t.itself.Load(), t.failed.Load())
	}
	text = append(text, `},"failed":{`...)
	for i := range b.why {
		text = fmt.Appendf(text, `%s%q:%d`, comma(i), reasonNames[i], b.why[i].Load())
	}
	text = fmt.Appendf(text, `},"crowd":{"doors":%s,"web":%s},"requests":%d`, doors.json(), web.json(), b.web.Load())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mem.look(time.Now())
	text = fmt.Appendf(text, `,"heap_bytes":%d,"heap_peak_bytes":%d,"memory_bytes":%d,"gc_cycles":%d,"goroutines":%d,"events":[`,
		b.mem.heap, b.mem.peak, b.mem.all, b.mem.collections, runtime.NumGoroutine())
	from = max(from, b.number-maxEvents)
	for n := from; n < b.number; n++ {
		e := b.events[n%maxEvents]
		text = fmt.Appendf(text, `%s[%d,%d,%d]`, comma(int(n-from)), e.door, e.outcome, e.from)
	}
	return append(text, "]}"...), b.number
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ","
}
