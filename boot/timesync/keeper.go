// Package timesync keeps the wall clock right by NTP (package ntp), and notices when
// the machine has stood still. It is linked into programs that are built with --ntp,
// and asks the servers that the boot parameter ntp names, or else DHCP.
//
// Where somebody else keeps the clock, as Tailor's monitor does by the host's, it only
// says how far that is from the servers' time.
package timesync

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/tailor-os/tailor/metrics"
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
}

// run keeps the clock for ever.
func (k *keeper) run() {
	k.interval = minPoll
	k.look()
	for {
		a := k.poll()
		wait := k.interval
		if k.polls < burst {
			wait = burstEvery
		}
		if a.For > 0 && a.For < wait {
			if !k.sleep(a.For) {
				continue
			}
			k.adjust(0, a.Then)
			wait -= a.For
		}
		k.sleep(wait)
	}
}

// sleep waits, and returns false early if the machine stood still meanwhile.
func (k *keeper) sleep(d time.Duration) bool {
	for d > 0 {
		n := min(d, watchEvery)
		begin := time.Now()
		time.Sleep(n)
		d -= n
		if k.paused(time.Since(begin)-n) || k.jumped() {
			k.mu.Lock()
			k.pauses++
			k.mu.Unlock()
			return false
		}
	}
	return true
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

// find brings the list of servers up to date: those of the network change.
func (k *keeper) find() {
	names := k.named
	if len(names) == 0 {
		names = k.found()
	}
	names = names[:min(len(names), maxServers)]
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []*server
	for _, name := range names {
		s := &server{address: name}
		for _, old := range k.servers {
			if old.address == name {
				s = old
			}
		}
		list = append(list, s)
	}
	k.servers = list
}

// An answer is what became of a question.
type answer struct {
	s      *server
	sample ntp.Sample
	dialed string
	err    error
}

// ask asks all servers at once, and returns the samples of those that answered, or the
// error of one that did not.
func (k *keeper) ask() (samples []ntp.Sample, err error) {
	k.mu.Lock()
	answers := make(chan answer, len(k.servers))
	asked := 0
	for _, s := range k.servers {
		if s.rest > 0 {
			s.rest--
			continue
		}
		if s.gone {
			continue
		}
		asked++
		to := s.dial
		if to == "" {
			to = s.address
		}
		go func() {
			sample, dialed, err := query(to)
			answers <- answer{s, sample, dialed, err}
		}()
	}
	k.mu.Unlock()
	for range asked {
		a := <-answers
		k.mu.Lock()
		if k.heard(a); a.err != nil {
			err = errors.New(a.s.address + ": " + a.err.Error())
		} else {
			samples = append(samples, a.sample)
		}
		k.mu.Unlock()
	}
	return samples, err
}

// heard notes an answer. A server that says that it is asked too often is left alone
// for a while, and twice as long the next time.
func (k *keeper) heard(a answer) {
	s := a.s
	var kiss ntp.Kiss
	switch {
	case a.err == nil:
		s.answers++
		s.last, s.dial = a.sample, a.dialed
		return
	case errors.As(a.err, &kiss):
		s.refusals++
		if kiss.Forever() {
			s.gone = true
			k.say(s.address + " " + kiss.Error() + "; it is not asked again")
		}
		s.rest = min(1<<min(s.refusals, 10), 64)
	default:
		s.failures++
	}
	s.dial = "" // its name may have another address now
}

// query asks one server. The socket is a new one, at a port that nobody knows, and
// hears that server alone.
func query(to string) (s ntp.Sample, dialed string, err error) {
	c, err := net.DialTimeout("udp", to, answerTime)
	if err != nil {
		return s, "", err
	}
	defer c.Close()
	var random [8]byte
	_, _ = rand.Read(random[:]) // which does not fail
	id := binary.BigEndian.Uint64(random[:])
	request := ntp.Request(id)
	sent := time.Now()
	if err := c.SetDeadline(sent.Add(answerTime)); err != nil {
		return s, "", err
	}
	if _, err := c.Write(request[:]); err != nil {
		return s, "", err
	}
	var b [ntp.PacketLen + 1]byte
	for {
		n, err := c.Read(b[:])
		took := time.Since(sent)
		if err != nil {
			return s, "", err
		}
		// What is no answer to this question may be somebody's guess: the answer may yet
		// come.
		s, err = ntp.Parse(b[:n], id, sent, took)
		if errors.Is(err, ntp.ErrOrigin) || errors.Is(err, ntp.ErrShort) || errors.Is(err, ntp.ErrMode) {
			continue
		}
		return s, c.RemoteAddr().String(), err
	}
}

// write is a [metrics.Source].
func (k *keeper) write(w *metrics.Writer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Gauge("tailor_ntp_synchronized", "Whether the clock is kept right by time servers.").Add(metrics.Bool(k.d.Right()))
	w.Gauge("tailor_ntp_offset_seconds", "What the clock lacked when it was last compared.").Add(k.best.Offset.Seconds())
	w.Gauge("tailor_ntp_distance_seconds", "How wrong that can be at the most, if nobody lies.").Add(k.best.Distance.Seconds())
	w.Gauge("tailor_ntp_stratum", "Stratum of the server that is followed, 0 for none.").Add(float64(k.best.Stratum))
	w.Gauge("tailor_ntp_frequency_adjustment_ratio", "By what the machine's counter is multiplied to be right.").Add(1 + float64(k.d.Drift())/1e9)
	if !k.synced.IsZero() {
		w.Gauge("tailor_ntp_age_seconds", "Time since the clock was last compared.").Add(time.Since(k.synced).Seconds())
	}
	w.Counter("tailor_ntp_steps_total", "Times that the clock was set.").Add(float64(k.steps[0]), "direction", "forward").Add(float64(k.steps[1]), "direction", "back")
	w.Counter("tailor_clock_pauses_total", "Times that the machine stood still or the clock was set from outside.").Add(float64(k.pauses))
	if len(k.servers) == 0 {
		return
	}
	answers := w.Counter("tailor_ntp_answers_total", "Questions to time servers by what became of them.")
	for _, s := range k.servers {
		answers.Add(float64(s.answers), "server", s.address, "result", "ok").
			Add(float64(s.failures), "server", s.address, "result", "failed").
			Add(float64(s.refusals), "server", s.address, "result", "refused")
	}
	offsets := w.Gauge("tailor_ntp_server_offset_seconds", "What the clock lacked by each server's time.")
	for _, s := range k.servers {
		offsets.Add(s.last.Offset.Seconds(), "server", s.address)
	}
}
