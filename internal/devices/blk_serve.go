package devices

import (
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

const (
	// lookTime is how long a goroutine looks at a queue after the last request: a guest
	// that was asleep when that was answered is back by then.
	lookTime = 100 * time.Microsecond
	// looks is how often it looks without the lock at a time: half a microsecond.
	looks = 1000
	// quietAgain is after how many requests notifications are turned off once more:
	// what says so counts to 65536, and half of that must not pass.
	quietAgain = 1 << 12
	// showTogether is how many answers the guest is shown at once, if there are so many
	// requests: it has others to work on meanwhile.
	showTogether = 4
	// soonBells is how many doorbells in a row, each soon after the one before it was
	// answered, call in a goroutine.
	soonBells = 2
	// busyBells is how many doorbells it takes at least until a goroutine is called in
	// once more, when there seems to be no processor for the last one.
	busyBells = 64
	// fewRequests is how many requests that one has answered then: for want of a
	// processor it ran when the guest did not.
	fewRequests = 16
)

// bell is rung by the vCPU thread. It answers a queue full of requests at the
// most, and reports whether there may be more.
func (k *blk) bell() (more bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.streak++; time.Since(k.lastBell) > bellGap {
		k.streak = min(k.streak, 0)
	}
	more = k.answerAll()
	k.lastBell = time.Now()
	// Soon after its last bell was answered, this guest rang once more.
	if k.streak >= soonBells && k.looker == nil && k.slow == 0 && !k.solo && k.takes() {
		k.streak = 0
		k.give(blkRequest{look: true})
	}
	return more
}

// flush is called by the vCPU thread when the guest goes idle, which has waited for a
// while then. If the goroutine that looks at the queue has let a request lie, it has
// lost its processor: the guest shall ring.
func (k *blk) flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.looker != nil && !k.busy && k.q.Pending() {
		k.looker, k.streak = nil, -busyBells
	}
	k.answerAll()
}

// ready implements poller; there is no file descriptor.
func (k *blk) ready(uint32) {}

// answerAll is what the vCPU thread does. It reports whether there may be more
// requests. mu is held.
func (k *blk) answerAll() (more bool) {
	var r blkRequest
	n := 0
	for n < blkQueueSize && k.take(&k.chain, &r) {
		if !k.serve(&r) {
			// The slices of the chain are used again.
			k.give(r.clone())
		}
		n++
	}
	k.show()
	return n == blkQueueSize
}

// take takes the next request, and reports whether there is one. If not, and
// nobody looks at the queue, notifications are on. mu is held.
func (k *blk) take(c *virtq.Chain, r *blkRequest) bool {
	for !k.stopped {
		ok, err := k.q.Pop(c)
		if ok {
			*r, err = parse(c)
		}
		if err != nil {
			k.bus.Fail(err)
			return false
		}
		if ok || k.looker != nil || !k.q.Arm() {
			return ok
		}
	}
	return false
}

// serve does a request that needs no waiting, else it reports false. mu is held,
// but let go of meanwhile.
func (k *blk) serve(r *blkRequest) bool {
	k.mu.Unlock()
	status, n, ok := k.now(r)
	k.mu.Lock()
	if ok {
		k.answer(r, status, n)
	}
	return ok
}

// answer gives a request back. mu is held.
func (k *blk) answer(r *blkRequest, status byte, n int) {
	r.status[0] = status
	if status != abi.BlkOK {
		n = 0
	}
	k.q.Push(r.head, n+1)
}

// show shows the guest what was answered. mu is held.
func (k *blk) show() {
	if k.q.Flush() {
		k.bus.Wake()
	}
}

// clone returns a request that does not share the slices of a chain.
func (r *blkRequest) clone() blkRequest {
	c := *r
	c.out, c.in = append([][]byte{}, r.out...), append([][]byte{}, r.in...)
	return c
}

// takes reports whether a goroutine takes what it is given at once. mu is held.
func (k *blk) takes() bool { return k.free > 0 || k.workers < blkThreads }

// give leaves a request to a goroutine. mu is held.
func (k *blk) give(r blkRequest) {
	if !r.look {
		k.slow++
	}
	if k.free > 0 || k.workers == blkThreads {
		k.free--
		k.work <- r // what nobody takes at once is no more than the queue has entries
		return
	}
	k.workers++
	k.running.Add(1)
	go k.run(r)
}

// run is a goroutine that does what waits for the medium, and then looks whether
// the guest goes on: it has waited for that, most likely.
func (k *blk) run(r blkRequest) {
	defer k.running.Done()
	var c virtq.Chain
	for ok := true; ok; {
		if k.finish(&r, &c) {
			if r, ok = k.poll(&c); ok {
				continue
			}
		}
		k.mu.Lock()
		k.free++
		k.mu.Unlock()
		r, ok = <-k.work
	}
}

// finish does a request, and reports whether the caller, who has c, is the one to look
// at the queue.
func (k *blk) finish(r *blkRequest, c *virtq.Chain) (look bool) {
	var status byte
	var n int
	if !r.look {
		status, n = k.do(r)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.stopped {
		return false
	}
	if !r.look {
		k.slow--
	}
	// After a flush more comes at once, as a rule, the journal's commit record; but to
	// ring costs a guest with a thread of its own less than to be looked after.
	often := r.look || r.kind == abi.BlkFlush && k.bus.guest == nil && k.streak >= 0
	if look = often && k.looker == nil && k.slow == 0 && !k.solo; look {
		k.looker = c
		k.q.Quiet() // before the guest sees the answer, and goes on
	}
	if !r.look {
		k.answer(r, status, n)
		k.show()
	}
	return look
}

// poll answers requests as they come, with notifications off, until none has come
// for a while. It ends at once for a request that waits for the medium, which it
// returns, unless there are others.
//
// So a guest that makes one request after the other does not leave for any, where
// it has a processor of its own: it finds the answer while it looks at its ring.
func (k *blk) poll(c *virtq.Chain) (r blkRequest, slow bool) {
	var quiet time.Time // since when nothing has come, if it is not zero
	answered := 0
	k.mu.Lock()
	defer k.mu.Unlock()
	for k.looker == c {
		if k.take(c, &r) {
			if r.kind != abi.BlkIn {
				k.show() // a write may take longer than it should
			}
			quiet, k.busy = time.Time{}, true
			done := k.serve(&r)
			k.busy = false
			if !done {
				k.show()
				if k.leave() {
					k.slow++
					return r, true
				}
				k.give(r.clone())
			}
			if answered++; answered%quietAgain == 0 {
				k.q.Quiet()
			}
			if answered%showTogether == 0 || !k.q.Pending() {
				k.show()
			}
			continue
		}
		k.show()
		now := time.Now()
		if quiet.IsZero() {
			quiet = now
		}
		// Those who wait for the medium need a processor when they have waited.
		if (k.stopped || k.slow > 0 || now.Sub(quiet) > lookTime) && k.leave() {
			if answered < fewRequests {
				k.streak = -busyBells
			}
			return r, false
		}
		k.await()
	}
	return r, false
}

// await looks at the queue for a moment, or until something comes. mu is held, but let
// go of meanwhile: who looks may lose the processor at any time, and the vCPU thread
// must not wait for that. Nor is the processor offered to others, who would keep it for
// far longer.
func (k *blk) await() {
	next := k.q.Next()
	k.mu.Unlock()
	for range looks {
		if k.q.Beyond(next) {
			break
		}
	}
	k.mu.Lock()
}

// leave turns notifications on again, and reports whether nothing has come
// meanwhile, so that it need not be looked for any more. mu is held.
func (k *blk) leave() bool {
	if !k.stopped && k.q.Arm() {
		return false
	}
	k.looker = nil
	return true
}

// stop ends the goroutines, which use guest memory.
func (k *blk) stop() {
	k.mu.Lock()
	k.stopped = true
	k.mu.Unlock()
	close(k.work)
	k.running.Wait()
}
