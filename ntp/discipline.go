package ntp

import "time"

// What a Discipline does, in nanoseconds and parts per billion.
const (
	// stepFrom is the offset from which on the clock is set (RFC 5905 section 12,
	// STEPT); below, it runs faster or slower until it is right.
	stepFrom = 128 * time.Millisecond
	// maxRate is by how much at the most a clock is made to run faster or slower, in
	// parts per billion: as adjtime does.
	maxRate = 500_000
	// maxDrift leaves something of maxRate to make up for offsets with.
	maxDrift = 400_000
	// doubts is how many times in a row an offset must be seen before a clock that
	// has been right is set.
	doubts = 3
	// slewFor is in how much time an offset is made up for, if that is not too fast.
	slewFor = 16 * time.Second
	// gain is the share of a drift that is believed at once.
	gain = 0.4
	// driftAfter is from how long an interval on a drift is looked for: in less, it is
	// lost in how long packets take.
	driftAfter = 10 * time.Second
)

// An Action is what to do about the clock. With a Step it is set, at once. For a time
// it runs at Rate, in parts per billion more or less than by itself, and after that
// at Then.
type Action struct {
	Step       time.Duration
	Rate, Then int64
	For        time.Duration
}

// A Discipline makes a clock right. The zero Discipline takes it for wrong. It is for
// one goroutine.
type Discipline struct {
	drift float64       // what the clock lacks of its own, parts per billion
	slew  time.Duration // what the last action makes up for,
	lasts time.Duration // and in how much time
	set   bool          // the clock was right once
	odd   int           // offsets that are too large, in a row
}

// Drift returns what the clock lacks by itself, as far as it is known, in parts per
// billion.
func (d *Discipline) Drift() int64 { return int64(d.drift) }

// Right reports whether the clock has been set, and is not in doubt.
func (d *Discipline) Right() bool { return d.set && d.odd == 0 }

// Doubt says that the clock may have stood still or jumped: it is set to the next
// offset as to the first one.
func (d *Discipline) Doubt() { d.set, d.odd = false, 0 }

// Update says what to do about an offset that was measured so long after the one
// before. ok is false if it is not believed yet.
func (d *Discipline) Update(offset, since time.Duration) (a Action, ok bool) {
	if offset <= -stepFrom || offset >= stepFrom {
		if d.odd++; d.set && d.odd < doubts {
			return a, false
		}
		d.set, d.odd, d.slew, d.lasts = true, 0, 0, 1
		a.Step = offset
		a.Rate, a.Then = d.Drift(), d.Drift()
		return a, true
	}
	if d.set && since >= driftAfter {
		// What the last action has not made up for yet is no drift.
		rest := float64(d.slew) * (1 - float64(min(since, d.lasts))/float64(d.lasts))
		d.drift += gain * (float64(offset) - rest) / float64(since) * 1e9
		d.drift = min(max(d.drift, -maxDrift), maxDrift)
	}
	rate := d.drift + float64(offset)/float64(slewFor)*1e9
	rate = min(max(rate, -maxRate), maxRate)
	d.set, d.odd, d.slew, d.lasts = true, 0, offset, slewFor
	if extra := rate - d.drift; extra != 0 {
		d.lasts = max(slewFor, time.Duration(float64(offset)/extra*1e9))
	}
	return Action{Rate: int64(rate), Then: d.Drift(), For: d.lasts}, true
}
