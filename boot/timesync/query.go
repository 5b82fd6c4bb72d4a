package timesync

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/tailor-os/tailor/ntp"
)

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
		is := func(s *server) bool { return s.address == name }
		if slices.ContainsFunc(list, is) {
			continue // who is named twice has one voice
		}
		if i := slices.IndexFunc(k.servers, is); i >= 0 {
			list = append(list, k.servers[i])
		} else {
			list = append(list, &server{address: name})
		}
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
