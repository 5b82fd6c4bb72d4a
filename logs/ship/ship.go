// Package ship carries messages to a collector without making the program wait:
// a bounded queue, a goroutine that sends what is in it and connects again when
// it has to, and a count of what there was no room for.
package ship

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tailor-os/tailor/logs/syslog"
)

// Times of a connection.
const (
	dialTime  = 10 * time.Second       // for a connection and what secures it
	writeTime = 30 * time.Second       // without progress, the collector is gone
	firstWait = 100 * time.Millisecond // before the second attempt; doubles
	lastWait  = 30 * time.Second
	steadyFor = time.Second            // a connection that lasted that long works
	byeTime   = 500 * time.Millisecond // for the collector's own end
	leaveTime = 20 * time.Millisecond  // for datagrams to leave a machine that ends
	findTime  = 100 * time.Millisecond // the same for the first, which need the collector's link address
)

const chunk = 16 << 10 // bytes of one write: a record of TLS (RFC 8446 section 5.1)

// A Transport is a way to a collector.
type Transport struct {
	// Dial connects. It is given up when ctx ends.
	Dial func(ctx context.Context) (net.Conn, error)
	// Frame appends a message as the connection carries it; nil for datagrams,
	// which have one each.
	Frame func(b, msg []byte) []byte
	// Settle is how long after Dial the collector may still refuse the
	// connection; nothing is sent before.
	Settle time.Duration
}

// A Config says how messages are carried.
type Config struct {
	Transport Transport
	Source    syslog.Source
	// Host, if not nil, returns what is to stand for the host's name on a
	// connection.
	Host func(net.Conn) string
	// Name of the collector, in messages.
	Name string
	// Say tells people: a line without its end. It must not lead back here.
	Say func(line string)
}

// Stats counts messages and connections.
type Stats struct {
	Added   uint64 // that the queue took
	Sent    uint64 // that a connection took
	Dropped uint64 // that there was no room for
	Waiting int    // in the queue
	Bytes   int    // that those take
	Dialed  uint64 // connections that were made
}

// A Shipper carries messages. Its methods may be called by several goroutines at
// once.
type Shipper struct {
	cfg    Config
	q      queue
	sent   atomic.Uint64
	dialed atomic.Uint64
	// reported is how many were said to be dropped.
	reported atomic.Uint64

	idle atomic.Bool   // the goroutine waits
	wake chan struct{} // for it

	end    chan struct{} // closed by Flush: send what there is, then stop
	ended  chan struct{} // closed when the goroutine has stopped
	ending sync.Once

	// Of the goroutine.
	batch    []byte // taken from the queue, not sent yet
	done     []byte // what batch was at first, for the queue to use again
	msg, out []byte
	down     bool // said that the collector is not reached
	lasts    bool // the connection works
}

// New returns a Shipper that connects at once.
func New(cfg Config) *Shipper {
	s := &Shipper{cfg: cfg, wake: make(chan struct{}, 1), end: make(chan struct{}), ended: make(chan struct{})}
	go s.run()
	return s
}

// Add queues a message, whose bytes it copies. It never waits, but lets other
// goroutines run when many messages do: on one processor without preemption, those
// of the network would not.
func (s *Shipper) Add(m syslog.Message) {
	crowded := s.q.add(m)
	if s.idle.Load() && s.idle.CompareAndSwap(true, false) {
		s.nudge()
	}
	if crowded {
		runtime.Gosched()
	}
}

func (s *Shipper) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Stats returns the counts so far.
func (s *Shipper) Stats() Stats {
	s.q.mu.Lock()
	defer s.q.mu.Unlock()
	return Stats{s.q.added, s.sent.Load(), s.q.dropped, s.q.waiting, len(s.q.buf), s.dialed.Load()}
}

// Flush sends what has been added, ends the connection and returns when the
// collector has taken all, or after limit. Without a connection it makes one only if
// there is something to send. Nothing is sent afterwards. What was not sent is said.
func (s *Shipper) Flush(limit time.Duration) {
	s.ending.Do(func() { close(s.end) })
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-s.ended:
	case <-timer.C:
	}
	if n := s.unsent(); n > 0 {
		s.say(strconv.FormatUint(n, 10) + " messages could not be sent to " + s.cfg.Name)
	}
}

// unsent is how many messages wait, or were dropped and nobody was told.
func (s *Shipper) unsent() uint64 {
	reported := s.reported.Load() // first: it grows up to what Stats says later
	st := s.Stats()
	return st.Added - st.Sent + st.Dropped - reported
}

func (s *Shipper) isEnding() bool {
	select {
	case <-s.end:
		return true
	default:
		return false
	}
}

func (s *Shipper) say(text string) { s.cfg.Say("tailor: syslog: " + text) }

// run is the goroutine: connect, send, and again.
func (s *Shipper) run() {
	defer close(s.ended)
	wait := firstWait
	for {
		s.lasts = false
		last := s.isEnding() // then this is the last attempt
		if last && s.unsent() == 0 {
			return
		}
		err := s.connection()
		if err == nil {
			return
		}
		if !s.down {
			s.down = true
			s.say("cannot send to " + s.cfg.Name + ": " + err.Error() + "; trying again, up to 1 MiB of messages wait")
		}
		if last {
			return
		}
		if s.lasts {
			wait = firstWait
		}
		s.pause(wait)
		wait = min(2*wait, lastWait)
	}
}

// pause waits between half of d and d, so that not all machines that lost a
// collector come back to it at the same moment, or until the end.
func (s *Shipper) pause(d time.Duration) {
	timer := time.NewTimer(d/2 + time.Duration(time.Now().UnixNano())%(d/2))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.end:
	}
}

// connection connects and sends what is there until the end, which is no error.
func (s *Shipper) connection() error {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	conn, err := s.cfg.Transport.Dial(ctx)
	cancel()
	if err != nil {
		return err
	}
	defer conn.Close()
	s.dialed.Add(1)
	gone := make(chan error, 1)
	go func() { gone <- s.listen(conn) }()
	if s.cfg.Host != nil {
		s.cfg.Source.Host = s.cfg.Host(conn)
	}
	if d := s.cfg.Transport.Settle; d > 0 {
		select {
		case err := <-gone:
			return err
		case <-time.After(d):
		}
	}
	return s.serve(conn, gone)
}

// listen returns when the collector has ended the connection. It has nothing to
// say.
func (s *Shipper) listen(conn net.Conn) error {
	for b := make([]byte, 64); ; {
		if _, err := conn.Read(b); err != nil {
			if err == io.EOF {
				err = errors.New("the collector has ended the connection")
			}
			return err
		}
	}
}

// serve sends what is added while the connection lasts.
func (s *Shipper) serve(conn net.Conn, gone <-chan error) error {
	steady := time.NewTimer(steadyFor)
	defer steady.Stop()
	for {
		s.idle.Store(true) // before the queue is looked at: what comes later wakes
		ending := s.isEnding()
		if err := s.send(conn, gone); err != nil {
			return err
		}
		if s.lasts || ending {
			if err := s.report(conn); err != nil {
				return err
			}
		}
		if ending {
			return s.bye(conn, gone)
		}
		select {
		case <-s.wake:
		case <-s.end:
		case err := <-gone:
			return err
		case <-steady.C:
			s.lasts = true
			s.up()
		}
	}
}

func (s *Shipper) up() {
	if s.down {
		s.down = false
		s.say("sending to " + s.cfg.Name + " again")
	}
}

// send sends all that is in the queue. What a failed write was to send is kept.
func (s *Shipper) send(conn net.Conn, gone <-chan error) error {
	err := s.sendBatch(conn, gone) // what the connection before has left
	for err == nil {
		s.batch = s.q.take(s.done)
		if s.done = s.batch; len(s.batch) == 0 {
			return nil
		}
		err = s.sendBatch(conn, gone)
	}
	return err
}

func (s *Shipper) sendBatch(conn net.Conn, gone <-chan error) error {
	for len(s.batch) > 0 {
		select {
		case err := <-gone:
			return err
		default:
		}
		rest, n := s.batch, uint64(0)
		s.out = s.out[:0]
		for len(rest) > 0 && len(s.out) < chunk && (n == 0 || s.cfg.Transport.Frame != nil) {
			var m syslog.Message
			m, rest = next(rest)
			s.format(m)
			n++
		}
		if err := s.write(conn); err != nil {
			return err
		}
		s.batch = rest
		s.sent.Add(n)
	}
	return nil
}

// format appends a message to what is written next.
func (s *Shipper) format(m syslog.Message) {
	if s.cfg.Transport.Frame == nil {
		s.out = s.cfg.Source.Append(s.out, m)
		return
	}
	s.msg = s.cfg.Source.Append(s.msg[:0], m)
	s.out = s.cfg.Transport.Frame(s.out, s.msg)
}

func (s *Shipper) write(conn net.Conn) error {
	conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := conn.Write(s.out)
	return err
}

// report says how many messages were dropped since the last time, to the
// collector as well.
func (s *Shipper) report(conn net.Conn) error {
	dropped := s.Stats().Dropped
	before := s.reported.Load()
	if dropped == before {
		return nil
	}
	text := strconv.FormatUint(dropped-before, 10) + " messages were dropped, because there was no room for them"
	s.out = s.out[:0]
	s.format(syslog.Message{Severity: syslog.Warning, Time: time.Now(), Text: []byte("tailor: syslog: " + text)})
	if err := s.write(conn); err != nil {
		return err
	}
	s.reported.Store(dropped)
	s.say(text)
	return nil
}

// bye ends the connection and waits until the collector has done so, too: then it
// has read everything. Of datagrams nobody knows.
func (s *Shipper) bye(conn net.Conn, gone <-chan error) error {
	c, ok := conn.(interface{ CloseWrite() error })
	switch {
	case !ok && s.lasts:
		time.Sleep(leaveTime)
		return nil
	case !ok:
		time.Sleep(findTime)
		return nil
	}
	if err := c.CloseWrite(); err != nil {
		return err
	}
	select {
	case <-gone:
	case <-time.After(byeTime):
	}
	return nil
}
