package cuttest

import (
	"fmt"
	"math/rand/v2"
)

// A State is what a disk may hold after a power cut.
type State struct {
	*Disk
	// At is how many events of the log had happened.
	At int
	// How says what became of the writes that were not flushed.
	How string

	undo []Event // what was there before, the last first to be restored
}

// WriteAt implements block.Device.
func (s *State) WriteAt(p []byte, off int64) error {
	s.save(off, len(p))
	return s.Disk.WriteAt(p, off)
}

// Discard implements block.Device.
func (s *State) Discard(off, n int64) error {
	s.save(off, int(n))
	return s.Disk.Discard(off, n)
}

func (s *State) save(off int64, n int) {
	if off < 0 || off+int64(n) > int64(len(s.data)) {
		return
	}
	s.undo = append(s.undo, Event{Off: off, Data: append([]byte(nil), s.data[off:off+int64(n)]...)})
}

// put applies part of a write.
func (s *State) put(off int64, p []byte) {
	s.save(off, len(p))
	copy(s.data[off:], p)
}

func (s *State) rollBack() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		copy(s.data[s.undo[i].Off:], s.undo[i].Data)
	}
	s.undo = s.undo[:0]
}

// Cuts calls try with states that a power cut may leave at each event of a disk's
// log: with nothing of what was not flushed, all of it, and, each per times, some
// of the writes, and some of the sectors of the writes. What try writes is undone
// afterwards. It returns how many states there were. The same seed gives the same
// states.
func Cuts(d *Disk, seed uint64, per int, try func(s *State)) int {
	base, log := d.Log()
	r := rand.New(rand.NewPCG(seed, 0xC07))
	s := &State{Disk: &Disk{data: append([]byte(nil), base...), sector: d.sector}}
	var open []Event // writes that were not flushed
	count := 0
	run := func(how string, apply func()) {
		s.How = how
		apply()
		count++
		try(s)
		s.rollBack()
	}
	for i, e := range log {
		s.At = i + 1
		switch {
		case e.Data == nil:
			for _, w := range open {
				copy(s.data[w.Off:], w.Data)
			}
			open = open[:0]
			run("flushed", func() {})
			continue
		}
		open = append(open, e)
		run("all", func() { s.applyAll(open) })
		if len(open) > 1 {
			run("none", func() {})
		}
		for k := range per {
			run(fmt.Sprint("some ", k), func() { s.applySome(r, open) })
			run(fmt.Sprint("torn ", k), func() { s.applyTorn(r, open) })
		}
	}
	return count
}

func (s *State) applyAll(open []Event) {
	for _, w := range open {
		s.put(w.Off, w.Data)
	}
}

// applySome applies each write or not.
func (s *State) applySome(r *rand.Rand, open []Event) {
	for _, w := range open {
		if r.IntN(2) == 0 {
			s.put(w.Off, w.Data)
		}
	}
}

// applyTorn applies some of the sectors of some writes.
func (s *State) applyTorn(r *rand.Rand, open []Event) {
	for _, w := range open {
		switch r.IntN(4) {
		case 0:
		case 1:
			s.put(w.Off, w.Data)
		case 2: // the beginning
			n := r.IntN(len(w.Data)/s.sector+1) * s.sector
			s.put(w.Off, w.Data[:n])
		case 3: // any sectors
			for off := 0; off < len(w.Data); off += s.sector {
				if r.IntN(2) == 0 {
					s.put(w.Off+int64(off), w.Data[off:off+s.sector])
				}
			}
		}
	}
}
