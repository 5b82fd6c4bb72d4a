package ntp

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const id = 0x0123456789abcdef

var sentAt = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func stamp(t time.Time) uint64 {
	return uint64(t.Unix()+epoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// answer is that of a good server whose clock is ahead by offset, after 10 ms there,
// 1 ms with it and 10 ms back.
func answer(offset time.Duration) []byte {
	b := make([]byte, PacketLen)
	b[atFlags], b[atStratum] = version<<3|modeServer, 2
	binary.BigEndian.PutUint32(b[atDelay:], 1<<16/100)      // 10 ms
	binary.BigEndian.PutUint32(b[atDispersion:], 1<<16/200) // 5 ms
	at := sentAt.Add(offset)
	for field, t := range map[int]time.Time{atRefTime: at.Add(-time.Minute), atReceive: at.Add(10 * time.Millisecond), atTransmit: at.Add(11 * time.Millisecond)} {
		binary.BigEndian.PutUint64(b[field:], stamp(t))
	}
	binary.BigEndian.PutUint64(b[atOrigin:], id)
	return b
}

const took = 21 * time.Millisecond

func near(a, b, by time.Duration) bool { return a-b <= by && b-a <= by }

func TestParse(t *testing.T) {
	for _, offset := range []time.Duration{0, time.Millisecond, -time.Millisecond, time.Hour, -30 * 24 * time.Hour, 70 * 365 * 24 * time.Hour} {
		s, err := Parse(append(answer(offset), "extensions"...), id, sentAt, took)
		if err != nil || !near(s.Offset, offset, time.Microsecond) || !near(s.Delay, 20*time.Millisecond, time.Microsecond) ||
			!near(s.Distance, 20*time.Millisecond, 100*time.Microsecond) || s.Stratum != 2 {
			t.Errorf("%v: %+v, %v", offset, s, err)
		}
	}
	// A clock that begins in 1970, and a server in the next era.
	b := answer(0)
	late := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, field := range []int{atRefTime, atReceive, atTransmit} {
		binary.BigEndian.PutUint64(b[field:], stamp(late))
	}
	s, err := Parse(b, id, time.Unix(0, 0), 0)
	if want := late.Sub(time.Unix(0, 0)); err != nil || !near(s.Offset, want, time.Microsecond) {
		t.Errorf("%+v, %v, want %v", s, err, want)
	}
}

// TestHostile: each field that is wrong makes an answer worthless.
func TestHostile(t *testing.T) {
	put32 := func(at int, v uint32) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint32(b[at:], v) }
	}
	put64 := func(at int, v uint64) func([]byte) {
		return func(b []byte) { binary.BigEndian.PutUint64(b[at:], v) }
	}
	flags := func(v byte) func([]byte) { return func(b []byte) { b[atFlags] = v } }
	code := func(s string) func([]byte) {
		return func(b []byte) { b[atStratum] = 0; copy(b[atRef:], s) }
	}
	for name, c := range map[string]struct {
		change func([]byte)
		want   error
	}{
		"a client's":         {flags(version<<3 | modeClient), ErrMode},
		"broadcast":          {flags(version<<3 | 5), ErrMode},
		"version 0":          {flags(modeServer), ErrMode},
		"version 5":          {flags(5<<3 | modeServer), ErrMode},
		"origin":             {put64(atOrigin, id+1), ErrOrigin},
		"no origin":          {put64(atOrigin, 0), ErrOrigin},
		"leap unknown":       {flags(leapUnknown<<6 | version<<3 | modeServer), errUnsynced},
		"stratum 16":         {func(b []byte) { b[atStratum] = 16 }, errStratum},
		"stratum 255":        {func(b []byte) { b[atStratum] = 255 }, errStratum},
		"kiss DENY":          {code("DENY"), Kiss("DENY")},
		"kiss RATE":          {code("RATE"), Kiss("RATE")},
		"stratum 0":          {code("\x00\x00\x00\x00"), errNotKissed},
		"escape":             {code("\x1b[2J"), errNotKissed},
		"no receive":         {put64(atReceive, 0), errTimes},
		"no transmit":        {put64(atTransmit, 0), errTimes},
		"before it came":     {put64(atReceive, stamp(sentAt.Add(time.Second))), errTimes},
		"longer than it was": {put64(atReceive, stamp(sentAt.Add(-time.Second))), errTimes},
		"reference later":    {put64(atRefTime, stamp(sentAt.Add(time.Hour))), errTimes},
		"root delay":         {put32(atDelay, 2<<16), errDistance},
		"negative delay":     {put32(atDelay, 0xffffffff), errDistance},
		"root dispersion":    {put32(atDispersion, 16<<16), errDistance},
		"1995": {func(b []byte) {
			for _, at := range []int{atRefTime, atReceive, atTransmit} {
				binary.BigEndian.PutUint64(b[at:], stamp(time.Date(1995, 1, 1, 0, 0, 0, 0, time.UTC)))
			}
		}, errAbsurd},
	} {
		b := answer(0)
		c.change(b)
		if s, err := Parse(b, id, sentAt, took); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", name, s, err, c.want)
		}
	}
	for n := range PacketLen {
		if _, err := Parse(answer(0)[:n], id, sentAt, took); !errors.Is(err, ErrShort) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if !Kiss("DENY").Forever() || !Kiss("RSTR").Forever() || Kiss("RATE").Forever() {
		t.Error("who is not to be asked again")
	}
	if p := Request(id); p[0] != 0x23 || binary.BigEndian.Uint64(p[atTransmit:]) != id {
		t.Errorf("request %x", p)
	}
}

// FuzzParse: whatever comes, what is believed is within the bounds.
func FuzzParse(f *testing.F) {
	f.Add(answer(0), uint64(id), int64(took))
	f.Add(answer(time.Hour)[:47], uint64(id), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, id uint64, took int64) {
		s, err := Parse(b, id, sentAt, time.Duration(took))
		if err != nil {
			if len(err.Error()) > 100 {
				t.Errorf("%q", err)
			}
			return
		}
		at := sentAt.Add(time.Duration(took)).Add(s.Offset)
		if s.Delay < 0 || s.Delay > maxRoot || s.Distance < 0 || s.Distance > maxRoot || s.Stratum < 1 || s.Stratum > maxStratum ||
			at.Before(earliest) || at.After(latest.Add(maxRoot)) {
			t.Errorf("%+v, %v", s, at)
		}
	})
}

func TestChoose(t *testing.T) {
	ms := time.Millisecond
	at := func(offset, distance time.Duration) Sample { return Sample{Offset: offset, Distance: distance} }
	for _, c := range []struct {
		list []Sample
		want time.Duration
		ok   bool
	}{
		{nil, 0, false},
		{[]Sample{at(5*ms, ms)}, 5 * ms, true},
		{[]Sample{at(5*ms, 2*ms), at(6*ms, ms)}, 6 * ms, true},
		{[]Sample{at(5*ms, ms), at(500*ms, ms)}, 0, false}, // one lies
		{[]Sample{at(5*ms, 3*ms), at(500*ms, 0), at(6*ms, 2*ms)}, 6 * ms, true},
		{[]Sample{at(5*ms, ms), at(500*ms, ms), at(6*ms, ms), at(500*ms, ms)}, 0, false},
		{[]Sample{at(0, ms), at(2*ms, ms)}, 0, true}, // they touch
		{[]Sample{at(0, 900*ms), at(-1e18, 0), at(1e18, 0)}, 0, false},
	} {
		if s, ok := Choose(c.list); ok != c.ok || ok && s.Offset != c.want {
			t.Errorf("%v: %v, %v", c.list, s, ok)
		}
	}
}

// A simulated clock drifts, is asked with noise, and does what a Discipline says.
type simulated struct {
	drift, now, clock, monotonic float64 // ppb; seconds
	rate, then                   int64
	left                         float64
	backwards                    bool
}

func (c *simulated) run(seconds float64) {
	for seconds > 0 {
		d := min(seconds, 1)
		rate := c.then
		if c.left > 0 {
			rate, d = c.rate, min(d, c.left)
			c.left -= d
		}
		c.now += d
		step := d * (1 + (c.drift+float64(rate))/1e9)
		c.clock, c.monotonic = c.clock+step, c.monotonic+step
		seconds -= d
	}
}

func (c *simulated) do(a Action) {
	c.backwards = c.backwards || a.Step < 0
	c.clock += a.Step.Seconds()
	c.rate, c.then, c.left = a.Rate, a.Then, a.For.Seconds()
}

// TestDiscipline: a clock that runs wrong is right after a while and stays so, at any
// pace of asking.
func TestDiscipline(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, drift := range []float64{0, 20e3, -100e3, 300e3} {
		for _, every := range []float64{16, 64, 1024} {
			if math.Abs(drift)*every > 110e6 {
				continue // who asks as seldom has found the drift before
			}
			var d Discipline
			c := simulated{drift: drift, clock: -1000}
			worst := 0.0
			for n := range 60 {
				noise := (rnd.Float64() - 0.5) * 0.0004
				a, ok := d.Update(time.Duration((c.now-c.clock+noise)*1e9), time.Duration(every*1e9))
				if !ok {
					t.Fatalf("drift %v, every %v: offset %v is not believed", drift, every, c.now-c.clock)
				}
				if n > 0 && a.Step != 0 {
					t.Errorf("drift %v, every %v: step %v at %d", drift, every, a.Step, n)
				}
				c.do(a)
				c.run(every)
				if n > 30 {
					worst = max(worst, math.Abs(c.now-c.clock))
				}
			}
			t.Logf("drift %v ppb, asked every %v s: at most %.3f ms wrong, drift found %d", drift, every, worst*1e3, d.Drift())
			if worst > 0.005 {
				t.Errorf("drift %v, every %v: %v s wrong", drift, every, worst)
			}
		}
	}
}

// TestSteps: the first offset is believed, a large one later only when it is seen
// again and again, and small ones never set the clock.
func TestSteps(t *testing.T) {
	var d Discipline
	if a, ok := d.Update(-time.Hour, 0); !ok || a.Step != -time.Hour || !d.Right() {
		t.Errorf("%+v, %v", a, ok)
	}
	if a, ok := d.Update(-100*time.Millisecond, time.Minute); !ok || a.Step != 0 || a.Rate < -maxRate || a.Rate >= 0 {
		t.Errorf("%+v, %v", a, ok)
	}
	for i := range doubts {
		a, ok := d.Update(-time.Second, time.Minute)
		if ok != (i == doubts-1) || ok && a.Step != -time.Second || d.Right() != ok {
			t.Errorf("%d: %+v, %v", i, a, ok)
		}
	}
	d.Update(time.Second, time.Minute)
	d.Update(0, time.Minute) // a spike
	if a, ok := d.Update(time.Second, time.Minute); ok {
		t.Errorf("%+v", a)
	}
	d.Doubt()
	if a, ok := d.Update(time.Second, time.Minute); !ok || a.Step != time.Second {
		t.Errorf("%+v, %v", a, ok)
	}
}
