package monitor

import "time"

// A CPU profile of the guest takes its samples by the wall clock, whose timers the
// kernel keeps exactly: one of running time goes off with the kernel's clock tick, up
// to 10 ms late, when a guest that makes an exit now and then has long been somewhere
// else. While the guest is idle, there is no sample.
type profile struct {
	timer  timer
	period time.Duration // 0 without a profile
	next   time.Time
	ran    time.Duration // the vCPU thread's running time at the last look
	unpaid time.Duration // running time that no sample stands for yet
}

const (
	// minPeriod bounds what a guest can ask for: each sample is an exit or two.
	minPeriod = 100 * time.Microsecond
	// slack is how many samples there may be more than running time, because they
	// fell into it by chance. A thread that waits for its processor is sampled, too:
	// without a limit, its profile would show the time that others ran.
	slack = 10
)

// set answers abi.BellProfile, with a period in nanoseconds, when the vCPU thread has
// run for ran.
func (p *profile) set(value uint64, ran time.Duration) error {
	p.period = time.Duration(min(value, uint64(time.Hour)))
	if p.period > 0 {
		p.period = max(p.period, minPeriod)
	}
	p.next, p.ran, p.unpaid = time.Now().Add(p.period), ran, 0
	return p.timer.Set(p.period)
}

// due reports whether the time of a sample has come.
func (p *profile) due() bool { return p.period > 0 && !time.Now().Before(p.next) }

// take reports whether there is to be one, if its time has come, when the thread has
// run for ran.
func (p *profile) take(ran time.Duration) bool {
	if !p.due() {
		return false
	}
	p.skip()
	most := slack * p.period
	p.unpaid = min(p.unpaid+ran-p.ran, most)
	p.ran = ran
	if p.unpaid <= -most {
		return false
	}
	p.unpaid -= p.period
	return true
}

// skip goes on to the next one.
func (p *profile) skip() {
	now := time.Now()
	if p.next = p.next.Add(p.period); !p.next.After(now) {
		p.next = now.Add(p.period - now.Sub(p.next)%p.period) // the timer keeps its beat
	}
}
