package dot

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/names"
)

const (
	// idleTime is for how long a connection without questions is kept.
	idleTime  = 30 * time.Second
	writeTime = 5 * time.Second
	// maxOpen bounds the questions on a connection that are not answered.
	maxOpen = 256
)

// errGone is of a connection that ended before the answer came, which as a rule is one
// that the server no longer wanted (RFC 7766 section 6.2.4): on another it will.
var errGone = errors.New("the server has ended the connection")

var (
	errSilent = errors.New("the server does not answer")
	errMany   = errors.New("too many questions at once")
)

// A link is a connection with a server, on which questions do not wait for each other's
// answers (RFC 7766 section 6.2.1.1).
type link struct {
	server  named
	conn    net.Conn
	writing sync.Mutex

	mu    sync.Mutex
	open  map[uint16]*question // by id
	heard uint64               // messages
	dead  error
}

// A named is a server in an error.
type named string

func (named) Network() string  { return "tls" }
func (n named) String() string { return string(n) }

// A question is one that was sent.
type question struct {
	q    dnsmessage.Question
	done chan struct{} // closed when the rest is set
	a    *names.Answer
	err  error
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
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				err = errGone
			}
			l.end(err)
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
	if q := l.open[id]; q != nil {
		delete(l.open, id)
		q.a, q.err = names.Examine(msg, id, q.q)
		close(q.done)
	}
}

// end ends the connection, and all questions on it.
func (l *link) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return
	}
	l.dead = err
	for _, q := range l.open {
		q.err = err
		close(q.done)
	}
	l.open = nil
	_ = l.conn.Close() // nothing more can be done about it
}

func (l *link) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead != nil
}

// begin finds an id for a question. heard is how many messages had come by then.
func (l *link) begin(q dnsmessage.Question) (id uint16, o *question, heard uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil {
		return 0, nil, 0, errGone
	}
	if len(l.open) >= maxOpen {
		return 0, nil, 0, errMany
	}
	for id = names.NewID(); l.open[id] != nil; id++ {
	}
	o = &question{q: q, done: make(chan struct{})}
	l.open[id] = o
	return id, o, l.heard, nil
}

// ask asks, and waits for the answer until ctx ends.
func (l *link) ask(ctx context.Context, q dnsmessage.Question) (*names.Answer, error) {
	id, o, heard, err := l.begin(q)
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
	l.mu.Lock()
	delete(l.open, id)
	silent := l.heard == heard
	l.mu.Unlock()
	if silent {
		l.end(errSilent) // nor does it, probably, what else was asked
	}
	return nil, errSilent
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
