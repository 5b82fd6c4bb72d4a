// Package attrs makes structured data of the attributes of log/slog's default
// logger, whose lines on the console stay as they are.
//
// Its handler stands before slog's own default handler, which writes by way of
// package log: it puts a mark into the text, by which the line that arrives at
// standard error is known to be the record's.
package attrs

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/tailor-os/tailor/logs/capture"
	"github.com/tailor-os/tailor/logs/syslog"
)

// maxData bounds the structured data of a message, in bytes. Attributes for which
// there is no room are left out of it.
const maxData = 4 << 10

// A mark is begin, a number in hexadecimal, and a zero byte.
const (
	begin   = "\x00tailor\x00"
	markLen = len(begin) + 16 + 1
)

// marked are the records whose lines are on their way.
type marked struct {
	mu   sync.Mutex
	next uint64
	m    map[string]*syslog.Message // by mark
}

// add returns the mark for a record.
func (k *marked) add(m *syslog.Message) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	b := append(make([]byte, 0, markLen), begin...)
	b = append(hex.AppendEncode(b, binary.BigEndian.AppendUint64(nil, k.next)), 0)
	k.m[string(b)] = m
	return string(b)
}

func (k *marked) drop(mark string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, mark)
}

// record is a capture.Recognizer.
func (k *marked) record(p []byte) (plain []byte, mark int, m syslog.Message, ok bool) {
	i := bytes.Index(p, []byte(begin))
	if i < 0 || len(p)-i < markLen {
		return p, 0, m, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.m[string(p[i:i+markLen])]
	if found == nil {
		return p, 0, m, false
	}
	return append(append(make([]byte, 0, len(p)), p[:i]...), p[i+markLen:]...), i, *found, true
}

// A handler adds the mark of a record to its message and passes it on.
type handler struct {
	next   slog.Handler
	marks  *marked
	data   []byte // attributes of the logger
	prefix string // of the names of attributes, with a dot at its end
}

// stderr is where package log writes unless it is told otherwise.
var stderr = os.Stderr

// isConsole reports whether what is written to w comes to where marks are known;
// a test has another.
var isConsole = func(w io.Writer) bool {
	f, ok := w.(*os.File) // others may not be comparable
	return ok && f == stderr
}

func (h *handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if !isConsole(log.Writer()) {
		return h.next.Handle(ctx, r)
	}
	m := &syslog.Message{Severity: severity(r.Level), Time: r.Time, Text: []byte(r.Message)}
	if m.Time.IsZero() {
		m.Time = time.Now()
	}
	m.Data = append(make([]byte, 0, len(h.data)+128), h.data...)
	mark := h.marks.add(m)
	defer h.marks.drop(mark)
	line := slog.NewRecord(r.Time, r.Level, mark+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		a.Value = a.Value.Resolve() // once, for both
		m.Data = appendAttr(m.Data, h.prefix, a)
		line.AddAttrs(a)
		return true
	})
	return h.next.Handle(ctx, line)
}

func (h *handler) WithAttrs(list []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(list)
	c.data = bytes.Clone(h.data)
	for _, a := range list {
		c.data = appendAttr(c.data, h.prefix, a)
	}
	return &c
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.next = h.next.WithGroup(name)
	c.prefix += name + "."
	return &c
}

// appendAttr appends an attribute to structured data, those of a group by their
// names behind the group's.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, g := range v.Group() {
			b = appendAttr(b, prefix, g)
		}
		return b
	case slog.KindTime:
		v = slog.StringValue(v.Time().Format(time.RFC3339Nano))
	}
	if a.Equal(slog.Attr{}) {
		return b // as slog's handlers do
	}
	if longer := syslog.AppendParam(b, prefix+a.Key, v.String()); len(longer) <= maxData {
		return longer
	}
	return b
}

// severity of a level. Those between slog's names are the ones in between.
func severity(l slog.Level) syslog.Severity {
	switch {
	case l < slog.LevelInfo:
		return syslog.Debug
	case l < slog.LevelInfo+2:
		return syslog.Info
	case l < slog.LevelWarn:
		return syslog.Notice
	case l < slog.LevelError:
		return syslog.Warning
	case l < slog.LevelError+4:
		return syslog.Error
	}
	return syslog.Critical
}

// Install makes the default logger one that has structured data, unless the
// program has set one of its own. It returns what recognizes the lines, nil if it
// did nothing. It is called once, before the program runs.
func Install() capture.Recognizer {
	next := slog.Default().Handler()
	if reflect.TypeOf(next).String() != "*slog.defaultHandler" {
		return nil
	}
	k := &marked{m: map[string]*syslog.Message{}}
	out, flags := log.Writer(), log.Flags()
	slog.SetDefault(slog.New(&handler{next: next, marks: k}))
	// Which has led package log to slog, where it came from.
	log.SetFlags(flags)
	log.SetOutput(out)
	return k.record
}
