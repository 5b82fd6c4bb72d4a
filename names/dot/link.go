package dot

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/names"
)

const (
	// idleTime is for how long a connection without questions is kept.
	idleTime  = 30 * time.Second
	writeTime = 5 * time.Second
	// maxOpen bounds the questions on a connection that are not answered: package names
	// asks no more at once.
	maxOpen = names.MaxFlights
	// silentTime is for how long nothing must come from a server to which something was
	// sent, so that it counts as gone: askers may have less patience than that.
	silentTime = 500 * time.Millisecond
)

// errGone is of a connection that ended before the answer came, which as a rule is one
// that the server no longer wanted (RFC 7766 section 6.2.4): on another it will.
var errGone = errors.New("the server has ended the connection")

var errMany = errors.New("too many questions at once")

// errSilent is of a question that was not answered in time.
var errSilent error = silent{}

type silent struct{}

func (silent) Error() string { return "the server does not answer" }

// Timeout is for package net, which tells the program.
func (silent) Timeout() bool { return true }

// A link is a connection with a server, on which questions do not wait for each other's
// answers (RFC 7766 section 6.2.1.1).
type link struct {
	server  named
	conn    net.Conn
	writing sync.Mutex

	mu    sync.Mutex
	open  map[uint16]*question // by id
	heard uint64               // messages
	since time.Time            // of the first question that was sent after the latest of them
	dead  error
}

// A named is a server in an error.
type named string

func (named) Network() string  { return "tls" }
func (n named) String() string { return string(n) }

// A question is one that was sent.
type question struct {
	q     dnsmessage.Question
	heard uint64        // messages before it
	done  chan struct{} // closed when the rest is set
	a     *names.Answer
	err   error
}

func newLink(server named, conn net.Conn) *link {
	l := &link{server: server, conn: conn, open: map[uint16]*question{}}
	l.extend(idleTime)
	go l.listen()
	return l
}

// extend has the connection end after a time, unless more is heard or asked.
func (l *link) extend(d time.Duration) { _ = l.conn.SetReadDeadline(time.Now().Add(d)) } // fails if it has ended

// listen reads answers until the connection ends.
func (l *link) listen() {
	for {
		msg, err := names.ReadMessage(l.conn)
		if err != nil {
			l.end(errGone) // also when idle, for a question that has just come
			return
		}
		l.extend(idleTime)
		l.heardMessage(msg)
	}
}

// heardMessage gives an answer to whom it is for. What nobody waits for (any more) is
// thrown away.
func (l *link) heardMessage(msg []byte) {
	if len(msg) < 2 {
		return
	}
	id := uint16(msg[0])<<8 | uint16(msg[1])
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard++
	l.since = time.Time{}
	if q := l.open[id]; q != nil {
		delete(l.open, id)
		q.a, q.err = names.Examine(msg, id, q.q)
		close(q.done)
	}
}

// end ends the connection, and all questions on it.
func (l *link) end(err error) {
	l.mu.Lock()
	open := l.open
	if l.dead == nil {
		l.dead, l.open = err, nil
	}
	l.mu.Unlock()
	for _, q := range open {
		q.err = err
		close(q.done)
	}
	_ = l.conn.Close() // which may say so to the server, and wait; nothing more can be done
}

func (l *link) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead != nil
}

// begin finds an id for a question.
func (l *link) begin(q dnsmessage.Question) (id uint16, o *question, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return 0, nil, errGone
	}
	if len(l.open) >= maxOpen {
		return 0, nil, errMany
	}
	if l.since.IsZero() {
		l.since = time.Now()
	}
	for id = names.NewID(); l.open[id] != nil; id++ {
	}
	o = &question{q: q, heard: l.heard, done: make(chan struct{})}
	l.open[id] = o
	return id, o, nil
}

// ask asks, and waits for the answer until ctx ends.
func (l *link) ask(ctx context.Context, q dnsmessage.Question) (*names.Answer, error) {
	id, o, err := l.begin(q)
	if err != nil {
		return nil, err
	}
	if err := l.send(id, q); err != nil {
		l.end(errGone)
		return nil, errGone
	}
	select {
	case <-o.done:
		return o.a, o.err
	case <-ctx.Done():
	}
	if l.giveUp(id, o) {
		l.end(errSilent) // nor does it, probably, what else was asked
	}
	return nil, errSilent
}

// giveUp forgets a question and reports whether the server seems to be gone.
func (l *link) giveUp(id uint16, o *question) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
	return l.heard == o.heard && time.Since(l.since) >= silentTime
}

func (l *link) send(id uint16, q dnsmessage.Question) error {
	const room = 2
	msg, err := names.AppendQuery(make([]byte, room), id, q, true)
	if err != nil {
		return err
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	l.extend(idleTime)
	_ = l.conn.SetWriteDeadline(time.Now().Add(writeTime)) // fails if Write does
	return names.WriteMessage(l.conn, msg)
}
