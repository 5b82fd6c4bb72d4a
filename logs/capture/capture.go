// Package capture makes messages of what a program writes to its standard output
// and standard error, while that goes to the console as before.
package capture

import (
	"bytes"
	"sync"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/logs/syslog"
)

// A Recognizer is what [Capture.Record] says.
type Recognizer func(p []byte) (plain []byte, mark int, m syslog.Message, ok bool)

// A Capture stands between a program and descriptors 1 and 2. Its methods may be
// called by several goroutines at once.
type Capture struct {
	// Add gets each message, whose bytes it must copy.
	Add func(syslog.Message)
	// Record, if not nil, recognizes a line that stands for a record of its own. It
	// returns what the console is to show, where in p the mark was that this has
	// not, and the record.
	Record Recognizer

	streams [2]splitter
}

// Write writes p to descriptor fd, which is 1 or 2, by write, and passes on what
// was taken; and also what can never be, because there is no console.
func (c *Capture) Write(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error) {
	if fd == 2 && c.Record != nil {
		if plain, mark, m, ok := c.Record(p); ok {
			n, err := write(fd, plain)
			if comesAgain(err) || err == nil && n <= mark {
				return n, err // with the mark still in it
			}
			c.Add(m)
			if err != nil {
				return n, err
			}
			c.streams[1].ignore(len(plain) - n)
			return n + len(p) - len(plain), nil
		}
	}
	n, err := write(fd, p)
	switch {
	case err == nil:
		c.Lines(fd, p[:n])
	case !comesAgain(err):
		c.Lines(fd, p)
	}
	return n, err
}

// comesAgain reports whether who wrote will write the same once more.
func comesAgain(err error) bool { return err == syscall.EAGAIN || err == syscall.EINTR }

// Lines passes on the lines of what has been written to fd. What has no end yet
// waits for it.
func (c *Capture) Lines(fd int, p []byte) { c.streams[fd-1].write(p, c.line) }

// End passes on what has no end and will have none.
func (c *Capture) End() {
	for i := range c.streams {
		c.streams[i].end(c.line)
	}
}

func (c *Capture) line(line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return
	}
	m := syslog.Message{Time: time.Now()}
	m.Severity, m.Text = severity(line)
	c.Add(m)
}

// maxLine bounds what is kept of a line, in bytes: more than any message has.
const maxLine = 16 << 10

// A splitter finds the lines of a stream.
type splitter struct {
	mu   sync.Mutex
	part []byte // of a line whose end has not come
	skip int    // bytes that are of a record
}

// ignore leaves out the next n bytes.
func (s *splitter) ignore(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skip = n
}

func (s *splitter) write(p []byte, emit func([]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.skip, len(p))
	s.skip -= n
	for p = p[n:]; ; {
		line, rest, whole := bytes.Cut(p, []byte("\n"))
		if !whole || len(s.part) > 0 {
			s.part = append(s.part, line[:min(len(line), maxLine-len(s.part))]...)
			line = s.part
		}
		if !whole {
			return
		}
		emit(line[:min(len(line), maxLine)])
		s.part = s.part[:0]
		p = rest
	}
}

func (s *splitter) end(emit func([]byte)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.part) > 0 {
		emit(s.part)
		s.part = s.part[:0]
	}
}

// severity returns how grave a line is, and the line without what says only that:
// the prefix "<N>" of sd-daemon(3). Lines of slog's handlers have a level. Others
// are information.
func severity(line []byte) (syslog.Severity, []byte) {
	if len(line) > 3 && line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' {
		return syslog.Severity(line[1] - '0'), line[3:]
	}
	var level []byte
	switch {
	case bytes.HasPrefix(line, []byte(`{"time":`)), bytes.HasPrefix(line, []byte(`{"level":`)):
		level = after(line, `"level":"`)
	case bytes.HasPrefix(line, []byte("time=")), bytes.HasPrefix(line, []byte("level=")):
		level = after(line, "level=")
	}
	for _, l := range levels {
		if bytes.HasPrefix(level, []byte(l.name)) {
			return l.severity, line
		}
	}
	return syslog.Info, line
}

var levels = [...]struct {
	name     string
	severity syslog.Severity
}{{"ERROR", syslog.Error}, {"WARN", syslog.Warning}, {"INFO", syslog.Info}, {"DEBUG", syslog.Debug}}

// after returns what follows key near the start of a line: behind the time.
func after(line []byte, key string) []byte {
	_, rest, _ := bytes.Cut(line[:min(len(line), 100)], []byte(key))
	return rest
}
