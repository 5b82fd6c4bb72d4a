package ship

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/tailor-os/tailor/logs/syslog"
)

// MaxQueue bounds the messages that wait, in bytes of them with their heads; as
// many more may be on their way.
const MaxQueue = 1 << 20

const (
	headLen = 8 + 1 + 2 + 4    // time, severity, bytes of data, bytes of text
	spare   = 64 << 10         // room that an empty queue keeps
	maxText = 64 << 10         // more than any message has
	maxData = 1<<16 - 1        // what the head has room for
	most    = MaxQueue * 3 / 4 // when others should run
)

// A queue has messages until they are taken. Its methods may be called by several
// goroutines at once.
type queue struct {
	mu      sync.Mutex
	buf     []byte // messages, each behind its head
	waiting int    // in buf
	added   uint64 // in all
	dropped uint64 // of those that were to be added
}

// add appends a message, or drops it if there is no room. crowded says that
// there soon is none.
func (q *queue) add(m syslog.Message) (crowded bool) {
	if len(m.Data) > maxData {
		m.Data = nil
	}
	m.Text = m.Text[:min(len(m.Text), maxText)]
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.buf)+headLen+len(m.Data)+len(m.Text) > MaxQueue {
		q.dropped++
		return true
	}
	b := binary.LittleEndian.AppendUint64(q.buf, uint64(m.Time.UnixNano()))
	b = append(b, byte(m.Severity))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(m.Data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Text)))
	b = append(b, m.Data...)
	q.buf = append(b, m.Text...)
	q.waiting++
	q.added++
	return len(q.buf) > most
}

// take returns all messages and leaves the queue with old, which the caller no
// longer needs, for those to come.
func (q *queue) take(old []byte) []byte {
	if cap(old) > spare {
		old = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	b := q.buf
	q.buf, q.waiting = old[:0], 0
	return b
}

// next returns the first of the messages in b, which is not empty, and what is
// behind it.
func next(b []byte) (m syslog.Message, rest []byte) {
	m.Time = time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
	m.Severity = syslog.Severity(b[8])
	data := int(binary.LittleEndian.Uint16(b[9:]))
	text := int(binary.LittleEndian.Uint32(b[11:]))
	b = b[headLen:]
	m.Data, m.Text = b[:data:data], b[data:data+text:data+text]
	return m, b[data+text:]
}
