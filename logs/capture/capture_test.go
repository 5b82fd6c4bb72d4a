package capture

import (
	"bytes"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/logs/syslog"
)

// messages returns a Capture and what it passes on.
func messages() (*Capture, *[]string) {
	list := &[]string{}
	return &Capture{Add: func(m syslog.Message) { *list = append(*list, fmt.Sprintf("%d %s", m.Severity, m.Text)) }}, list
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for _, c := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"one", []string{"a\n"}, "6 a"},
		{"several in one write", []string{"a\nb\r\n\nc\n"}, "6 a|6 b|6 c"},
		{"in pieces", []string{"a", "b", "c\nd", "\n"}, "6 abc|6 d"},
		{"no end", []string{"a\nb"}, "6 a|6 b"},
		{"sd-daemon", []string{"<3>bad\n<7>fine\n<8>x\n<3>\n<3\n"}, "3 bad|7 fine|6 <8>x|6 <3>|6 <3"},
		{"slog text", []string{"time=2026-11-26T00:00:00.000Z level=WARN msg=x level=ERROR\nlevel=DEBUG+1 msg=\n"},
			"4 time=2026-11-26T00:00:00.000Z level=WARN msg=x level=ERROR|7 level=DEBUG+1 msg="},
		{"slog json", []string{`{"time":"2026-11-26T00:00:00Z","level":"ERROR","msg":"x"}` + "\n"}, `3 {"time":"2026-11-26T00:00:00Z","level":"ERROR","msg":"x"}`},
		{"something else", []string{"my level=ERROR\n"}, "6 my level=ERROR"},
		{"long", []string{long + "\n", long[:maxLine], long, "\nb\n"}, "6 " + long[:maxLine] + "|6 " + long[:maxLine] + "|6 b"},
	} {
		capture, got := messages()
		for _, w := range c.writes {
			capture.Lines(1, []byte(w))
		}
		capture.End()
		if s := strings.Join(*got, "|"); s != c.want {
			t.Errorf("%s: %.200q, want %.200q", c.name, s, c.want)
		}
	}
}

// TestWrite: the console gets what was written, and messages what it took.
func TestWrite(t *testing.T) {
	capture, got := messages()
	var console bytes.Buffer
	write := func(fd int, p []byte) (int, error) { return console.Write(p[:min(len(p), 3)]) }
	for p := []byte("hello\n"); len(p) > 0; {
		n, err := capture.Write(1, p, write)
		if err != nil {
			t.Fatal(err)
		}
		p = p[n:]
	}
	if console.String() != "hello\n" || fmt.Sprint(*got) != "[6 hello]" {
		t.Errorf("console %q, messages %q", console.String(), *got)
	}
}

// TestRecord: a console that takes a line with a mark piece by piece, or not at
// all, has it without the mark, and the record arrives once.
func TestRecord(t *testing.T) {
	const mark = "<mark>"
	for size := 1; size < 20; size++ {
		capture, got := messages()
		capture.Record = func(p []byte) ([]byte, int, syslog.Message, bool) {
			i := bytes.Index(p, []byte(mark))
			if i < 0 {
				return p, 0, syslog.Message{}, false
			}
			return append(bytes.Clone(p[:i]), p[i+len(mark):]...), i, syslog.Message{Severity: 3, Text: []byte("record")}, true
		}
		var console bytes.Buffer
		busy := false
		write := func(fd int, p []byte) (int, error) {
			if busy = !busy; busy {
				return -1, syscall.EAGAIN
			}
			return console.Write(p[:min(len(p), size)])
		}
		for _, text := range []string{"INFO <mark>text\nof two lines\n", "next\n"} {
			for p := []byte(text); len(p) > 0; {
				if n, err := capture.Write(2, p, write); err == nil {
					p = p[n:]
				}
			}
		}
		if console.String() != "INFO text\nof two lines\nnext\n" || fmt.Sprint(*got) != "[3 record 6 next]" {
			t.Errorf("%d bytes at a time: the console has %q, messages are %q", size, console.String(), *got)
		}
	}
	capture, got := messages()
	capture.Write(1, []byte("a\n"), func(int, []byte) (int, error) { return -1, syscall.EPIPE })
	if fmt.Sprint(*got) != "[6 a]" {
		t.Errorf("without a console: %q", *got)
	}
}

// FuzzLines: however a text is cut into writes, the same lines come of it.
func FuzzLines(f *testing.F) {
	f.Add("a\nb\r\n\nc", uint8(2))
	f.Fuzz(func(t *testing.T, text string, size uint8) {
		whole, want := messages()
		whole.Lines(1, []byte(text))
		whole.End()
		pieces, got := messages()
		for p := []byte(text); len(p) > 0; {
			n := min(len(p), int(size)+1)
			pieces.Lines(1, p[:n])
			p = p[n:]
		}
		pieces.End()
		if fmt.Sprintf("%q", *got) != fmt.Sprintf("%q", *want) {
			t.Fatalf("%q, want %q", *got, *want)
		}
	})
}

func BenchmarkLines(b *testing.B) {
	capture := &Capture{Add: func(syslog.Message) {}}
	line := []byte(strings.Repeat("0123456789", 10) + "\n")
	b.ReportAllocs()
	for b.Loop() {
		capture.Lines(1, line)
	}
}
