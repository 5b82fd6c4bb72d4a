package timesync

import (
	"encoding/binary"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/ntp"
)

// epoch is how many seconds 1900 is before 1970.
const epoch = 2208988800

// A fake is a machine and what it was told.
type fake struct {
	said  []string
	steps []time.Duration
	rates []int64
	found []string
	clock int64 // of the battery
	ours  bool
	slept []time.Duration
}

func (f *fake) keeper(servers ...string) *keeper {
	k := &keeper{ours: f.ours, named: servers, interval: minPoll, machine: machine{
		adjust: func(step time.Duration, rate int64) bool {
			f.steps, f.rates = append(f.steps, step), append(f.rates, rate)
			return f.ours
		},
		battery: func() int64 { return f.clock },
		found:   func() []string { return f.found },
		say:     func(line string) { f.said = append(f.said, line) },
		pause:   func(d time.Duration) { f.slept = append(f.slept, d) },
	}}
	k.look()
	return k
}

// serve answers each request by what answer makes of a good answer with the server's
// clock ahead by offset; it may send anything else before. It returns its address.
func serve(t *testing.T, offset time.Duration, answer func(c net.PacketConn, to net.Addr, good []byte)) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		b := make([]byte, 100)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			at := time.Now().Add(offset)
			good := make([]byte, ntp.PacketLen)
			good[0], good[1] = 0x24, 2
			stamp := uint64(at.Unix()+epoch)<<32 | uint64(at.Nanosecond())<<32/1e9
			copy(good[24:], b[40:n])
			for _, field := range []int{16, 32, 40} {
				binary.BigEndian.PutUint64(good[field:], stamp)
			}
			answer(c, from, good)
		}
	}()
	return c.LocalAddr().String()
}

func good(c net.PacketConn, to net.Addr, b []byte) { c.WriteTo(b, to) }

func (f *fake) last() string {
	if len(f.said) == 0 {
		return ""
	}
	return f.said[len(f.said)-1]
}

// TestSetAndFollow: a clock is set once, and then made to run right.
func TestSetAndFollow(t *testing.T) {
	f := &fake{ours: true}
	k := f.keeper(serve(t, time.Hour, good))
	a := k.poll()
	if a.Step < time.Hour-time.Second || a.Step > time.Hour+time.Second || !strings.HasPrefix(f.last(), "it was set forward by ") || !k.d.Right() {
		t.Errorf("%+v %q", a, f.said)
	}
	f = &fake{ours: true}
	k = f.keeper(serve(t, -20*time.Millisecond, good))
	if a = k.poll(); a.Step != 0 || a.Rate >= 0 || a.For <= 0 || !strings.HasPrefix(f.last(), "it follows a time server's") {
		t.Errorf("%+v %q", a, f.said)
	}
	k.poll()
	if len(f.said) != 1 {
		t.Errorf("said more than once: %q", f.said)
	}
	f = &fake{}
	k = f.keeper(serve(t, time.Hour, good))
	if k.poll(); len(f.steps) != 0 || !strings.HasPrefix(f.last(), "the host keeps it; it is ") {
		t.Errorf("a host's clock: %v %q", f.steps, f.said)
	}
}

// TestPace: four questions in six seconds, then fewer and fewer; a clock that is made
// up for runs at its own pace afterwards.
func TestPace(t *testing.T) {
	f := &fake{ours: true}
	k := f.keeper(serve(t, time.Millisecond, good))
	want := []time.Duration{burstEvery, burstEvery, burstEvery, 2 * minPoll, 4 * minPoll}
	for i, w := range want {
		f.slept = nil
		k.turn()
		total := time.Duration(0)
		for _, d := range f.slept {
			if total += d; d > watchEvery {
				t.Errorf("slept for %v at once", d)
			}
		}
		if total != w {
			t.Errorf("turn %d took %v, want %v", i, total, w)
		}
	}
	// The last two: faster, and then no more so.
	if n := len(f.rates); n < 4 || f.rates[n-2] <= f.rates[n-1] {
		t.Errorf("rates %v", f.rates)
	}
}

// TestSilence: what a clock is made to run faster or slower for has an end, also if no
// server answers any more, and if the machine stands still meanwhile.
func TestSilence(t *testing.T) {
	for name, c := range map[string]struct {
		stands bool
		turns  int
	}{"nobody answers": {false, burst + 1}, "it stood still": {true, 1}} {
		f := &fake{ours: true, clock: time.Now().Unix()}
		k := f.keeper(serve(t, 20*time.Millisecond, good))
		if a := k.poll(); a.Rate <= a.Then || a.For <= burstEvery {
			t.Errorf("%s: %+v", name, a)
		}
		k.named = nil
		if c.stands {
			f.clock += 300
		}
		for range c.turns {
			k.turn()
		}
		if last := f.rates[len(f.rates)-1]; last != k.d.Drift() || len(f.rates) != 2 {
			t.Errorf("%s: rates %v, want %v at the end", name, f.rates, k.d.Drift())
		}
	}
}

// TestLies: what does not come from the server, or is no answer, is passed over, and
// the answer taken.
func TestLies(t *testing.T) {
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	f := &fake{ours: true}
	k := f.keeper(serve(t, 0, func(c net.PacketConn, to net.Addr, b []byte) {
		bad := slices.Clone(b)
		binary.BigEndian.PutUint64(bad[40:], binary.BigEndian.Uint64(b[40:])+1000<<32)
		stranger.WriteTo(bad, to) // from another source
		c.WriteTo(bad[:20], to)
		c.WriteTo(nil, to)
		guess := slices.Clone(bad)
		guess[24]++ // with another id
		c.WriteTo(guess, to)
		c.WriteTo(b, to)
	}))
	if a := k.poll(); a.Step != 0 || !k.d.Right() || k.best.Offset > time.Second || k.best.Offset < -time.Second {
		t.Errorf("%+v %+v %q", a, k.best, f.said)
	}
}

// TestKiss: a server that refuses is not asked again, one that is asked too often less.
func TestKiss(t *testing.T) {
	asked := map[string]int{}
	var mu sync.Mutex
	kiss := func(code string) string {
		return serve(t, 0, func(c net.PacketConn, to net.Addr, b []byte) {
			mu.Lock()
			asked[code]++
			mu.Unlock()
			b[1] = 0
			copy(b[12:], code)
			c.WriteTo(b, to)
		})
	}
	f := &fake{ours: true}
	k := f.keeper(kiss("DENY"), kiss("RATE"))
	for range 9 {
		k.poll()
	}
	mu.Lock()
	defer mu.Unlock()
	if asked["DENY"] != 1 || asked["RATE"] != 3 { // the first, after 2, and after 4 more
		t.Errorf("asked %v", asked)
	}
	if !strings.Contains(strings.Join(f.said, "\n"), "refuses, with code DENY; it is not asked again") {
		t.Errorf("%q", f.said)
	}
}

// TestDisagree: of two servers that contradict each other none is believed, of three
// the two; and a clock that was right is not moved by one lie.
func TestDisagree(t *testing.T) {
	right, wrong, third := serve(t, 0, good), serve(t, time.Hour, good), serve(t, 0, good)
	f := &fake{ours: true}
	k := f.keeper(right, wrong)
	for range 3 {
		k.poll()
	}
	if len(f.steps) != 0 || len(f.said) != 1 || !strings.HasPrefix(f.last(), "the time servers disagree") {
		t.Errorf("%v %q", f.steps, f.said)
	}
	twice := f.keeper(wrong, right, wrong)
	if twice.poll(); len(f.steps) != 0 || len(twice.servers) != 2 {
		t.Errorf("one that is named twice: %v, %d servers", f.steps, len(twice.servers))
	}
	k.named = append(k.named, third)
	if a := k.poll(); a.Step != 0 || !k.d.Right() {
		t.Errorf("%+v %q", a, f.said)
	}
	k.named = []string{wrong}
	for i := range 3 {
		a := k.poll()
		if (a.Step != 0) != (i == 2) {
			t.Errorf("%d: %+v %q", i, a, f.said)
		}
	}
}

// TestNobody: that no server answers is said once, and those that the network names
// are asked when it does.
func TestNobody(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := c.LocalAddr().String()
	c.Close()
	f := &fake{ours: true}
	k := f.keeper(closed)
	for range 6 {
		k.poll()
	}
	if len(f.said) != 1 || !strings.HasPrefix(f.last(), "no time server answers: "+closed) || k.interval <= minPoll {
		t.Errorf("%q, %v", f.said, k.interval)
	}
	k.named = nil
	f.found = []string{serve(t, 0, good)}
	if k.poll(); !k.d.Right() {
		t.Errorf("%q", f.said)
	}
	for i := range 20 {
		f.found = append(f.found, net.JoinHostPort("127.0.0.1", string(rune('1'+i%9))))
	}
	if k.find(); len(k.servers) != maxServers {
		t.Errorf("%d servers", len(k.servers))
	}
}

// TestPauses: a machine that stood still is noticed, whether its counter went on or
// not, and so is a clock that somebody else has set.
func TestPauses(t *testing.T) {
	f := &fake{ours: true, clock: time.Now().Unix()}
	k := f.keeper()
	if k.paused(time.Second) || k.jumped() {
		t.Errorf("%q", f.said)
	}
	if !k.paused(time.Minute) || !strings.HasPrefix(f.last(), "nothing has run for 1m0s") {
		t.Errorf("%q", f.said)
	}
	k.d.Update(0, 0)
	f.clock += 300
	if !k.jumped() || f.last() != "the machine stood still for some 5m0s" || k.d.Right() {
		t.Errorf("%q", f.said)
	}
	k.stepped = -time.Hour // which the clock does not show: somebody has set it forward again
	if !k.jumped() || !strings.HasPrefix(f.last(), "it was set by ") {
		t.Errorf("%q", f.said)
	}
}

// TestFigures: the figures can be written at any time.
func TestFigures(t *testing.T) {
	f := &fake{ours: true}
	k := f.keeper(serve(t, 0, good))
	var w metrics.Writer
	k.write(&w)
	k.poll()
	w = metrics.Writer{}
	k.write(&w)
	for _, want := range []string{"tailor_ntp_synchronized 1\n", "tailor_ntp_stratum 2\n", `,result="ok"} 1` + "\n"} {
		if !strings.Contains(string(w.Bytes()), want) {
			t.Errorf("no %q in\n%s", want, w.Bytes())
		}
	}
}
