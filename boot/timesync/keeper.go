// Package timesync keeps the wall clock right by NTP (package ntp), and notices when
// the machine has stood still. It is linked into programs that are built with --ntp,
// and asks the servers that the boot parameter ntp names, or else DHCP.
//
// Where somebody else keeps the clock, as Tailor's monitor does by the host's, it only
// says how far that is from the servers' time.
package timesync

import (
	"strconv"
	"sync"
	"time"

	"github.com/tailor-os/tailor/ntp"
)

// A machine is what a keeper needs of the one it runs on.
type machine struct {
	// adjust sets the wall clock forward, and lets it run faster by parts per billion;
	// false if the clock is not the guest's.
	adjust func(step time.Duration, rate int64) bool
	// battery returns the seconds since 1970 of a clock that runs on while the machine
	// stands still, 0 if there is none.
	battery func() int64
	// found returns the servers that the network names.
	found func() []string
	say   func(line string)
	pause func(time.Duration) // time.Sleep
}

// Times of a keeper's.
const (
	// The first four questions are short after each other; then it takes twice as long
	// each time. No server is to be asked more often than every 15 s for long (RFC 4330
	// section 10).
	burst      = 4
	burstEvery = 2 * time.Second
	minPoll    = 16 * time.Second
	maxPoll    = 1024 * time.Second
	answerTime = 2 * time.Second
	// watchEvery is how often it is looked whether the machine stood still, and
	// pauseFrom what is told.
	watchEvery = 10 * time.Second
	pauseFrom  = 3 * time.Second
	maxServers = 8
	// calm is an offset that needs no closer look.
	calm = 10 * time.Millisecond
)

// A server is one that is asked.
type server struct {
	address string // HOST:PORT
	dial    string // the same with the host's address, once it has answered
	gone    bool   // it wants not to be asked again
	rest    int    // polls that it wants not to be asked at

	answers, failures, refusals uint64
	last                        ntp.Sample
}

// A keeper keeps one clock. What is behind mu may be looked at while it runs.
type keeper struct {
	machine
	named []string // HOST:PORT, of the boot parameter

	mu      sync.Mutex
	servers []*server
	d       ntp.Discipline
	best    ntp.Sample
	steps   [2]uint64 // forward, back
	pauses  uint64
	synced  time.Time // when a sample was used last

	polls    int
	told     string        // what was said last of a state that goes on
	ours     bool          // the clock can be set
	wall     time.Time     // wall clock at the last look, with monotonic time,
	shown    int64         // what the battery's showed, 0 for none,
	stepped  time.Duration // and how much the wall clock was set since
	interval time.Duration
	left     time.Duration // for how much longer the clock makes up for an offset,
	then     int64         // and its rate after that
}

// turn keeps the clock until the next turn, which follows at once.
func (k *keeper) turn() {
	k.poll()
	wait := k.interval
	if k.polls < burst {
		wait = burstEvery
	}
	k.sleep(wait)
}

// sleep waits, less long if the machine stood still meanwhile. A clock that has made up
// for its offset runs at its own pace from then on, also if no server answers any more.
func (k *keeper) sleep(d time.Duration) {
	for stood := false; d > 0 && !stood; {
		n := min(d, watchEvery)
		if k.left > 0 {
			n = min(n, k.left)
		}
		begin := time.Now()
		k.pause(n)
		d -= n
		if stood = k.paused(time.Since(begin)-n) || k.jumped(); stood {
			k.mu.Lock()
			k.pauses++
			k.mu.Unlock()
		}
		if k.left > 0 {
			if k.left -= n; k.left == 0 || stood {
				k.left = 0
				k.adjust(0, k.then)
			}
		}
	}
}

// paused tells of a sleep that was late.
func (k *keeper) paused(late time.Duration) bool {
	if late < pauseFrom {
		return false
	}
	k.say("nothing has run for " + late.Round(time.Second).String() + ": the machine stood still, or a goroutine computed")
	k.look()
	return true
}

// jumped tells of a clock that is no longer where it was, compared with monotonic time
// (a starter has set it) and with the battery's (the machine stood still, and its
// counter with it).
func (k *keeper) jumped() bool {
	wall, shown, stepped := k.wall, k.shown, k.stepped
	k.look()
	jump := k.wall.Round(0).Sub(wall.Round(0)) - k.wall.Sub(wall) - stepped
	if jump >= pauseFrom || jump <= -pauseFrom {
		k.say("it was set by " + jump.Round(time.Millisecond).String() + " from outside")
		return true
	}
	lost := time.Duration(k.shown-shown)*time.Second - k.wall.Sub(wall)
	if shown != 0 && k.shown != 0 && lost >= pauseFrom {
		k.say("the machine stood still for some " + lost.Round(time.Second).String())
		k.mu.Lock()
		k.d.Doubt()
		k.mu.Unlock()
		return true
	}
	return false
}

// look notes where the clocks are.
func (k *keeper) look() {
	k.wall, k.shown, k.stepped = time.Now(), k.battery(), 0
}

// poll asks all servers, and does what their answers ask for.
func (k *keeper) poll() (a ntp.Action) {
	k.polls++
	k.find()
	samples, err := k.ask()
	k.mu.Lock()
	defer k.mu.Unlock()
	best, ok := ntp.Choose(samples)
	switch {
	case len(samples) == 0:
		k.slower()
		if k.polls >= burst && err != nil {
			k.tell("no time server answers: " + err.Error())
		}
		return a
	case !ok:
		k.slower()
		k.tell("the time servers disagree; none of them is believed")
		return a
	}
	since := time.Duration(0)
	if !k.synced.IsZero() {
		since = time.Since(k.synced)
	}
	k.best = best
	if !k.ours {
		k.synced = time.Now()
		k.slower()
		k.tell("the host keeps it; it is " + best.Offset.Round(10*time.Microsecond).String() + " behind the time servers'")
		return a
	}
	if a, ok = k.d.Update(best.Offset, since); !ok {
		k.interval = minPoll
		return a
	}
	k.synced = time.Now()
	k.act(a, best)
	if best.Offset > calm || best.Offset < -calm {
		k.interval = minPoll
	} else {
		k.slower()
	}
	return a
}

// slower doubles the time between polls.
func (k *keeper) slower() {
	if k.polls >= burst {
		k.interval = min(2*k.interval, maxPoll)
	}
}

// act adjusts the clock, and says so when it is set.
func (k *keeper) act(a ntp.Action, best ntp.Sample) {
	k.adjust(a.Step, a.Rate)
	k.left, k.then = a.For, a.Then
	k.stepped += a.Step
	by := " of stratum " + strconv.Itoa(int(best.Stratum)) + ", which is right to " + best.Distance.Round(10*time.Microsecond).String()
	switch {
	case a.Step < 0:
		k.steps[1]++
		k.say("it was set back by " + (-a.Step).Round(10*time.Microsecond).String() + " to a time server's" + by)
	case a.Step > 0:
		k.steps[0]++
		k.say("it was set forward by " + a.Step.Round(10*time.Microsecond).String() + " to a time server's" + by)
	default:
		k.tell("it follows a time server's" + by)
		return
	}
	k.told = "it follows" // as it was just said
}

// tell says something about a state that goes on, once. The first words tell states
// apart.
func (k *keeper) tell(line string) {
	const words = 10
	if key := line[:min(len(line), words)]; key != k.told[:min(len(k.told), words)] {
		k.told = line
		k.say(line)
	}
}
