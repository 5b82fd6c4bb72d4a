package syslog

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var at = time.Date(2026, 11, 6, 1, 2, 3, 4_005_000, time.UTC)

func source() Source {
	return Source{Facility: 3, Host: "web-1", App: "website", PID: 7, Max: MaxStream}
}

func TestAppend(t *testing.T) {
	data := AppendParam(AppendParam(nil, "user", `a "b" \ ]`), "time spent=]\"é", "1\n2")
	for _, c := range []struct {
		name, want string
		change     func(*Source, *Message)
	}{
		{"plain", "<30>1 2026-11-06T01:02:03.004005Z web-1 website 7 - - hello", nil},
		{"data", "<27>1 2026-11-06T01:02:03.004005Z web-1 website 7 - " +
			`[attrs@32473 user="a \"b\" \\ \]" time_spent_____="1#0122"] hello`,
			func(_ *Source, m *Message) { m.Severity, m.Data = Error, data }},
		{"control characters", "<30>1 2026-11-06T01:02:03.004005Z web-1 website 7 - - a#000b#011c#012#033[0m#177é",
			func(_ *Source, m *Message) { m.Text = []byte("a\x00b\tc\n\x1b[0m\x7fé") }},
		{"nothing known", "<6>1 2026-11-06T01:02:03.004005Z - - 0 - - ",
			func(s *Source, m *Message) { *s = Source{Max: 100}; m.Text = nil }},
		{"bad names", "<190>1 2026-11-06T01:02:03.004005Z we_b a___b 7 - - hello",
			func(s *Source, _ *Message) { s.Facility, s.Host, s.App = 23, "we b", "a é"+"b" }},
		{"old", "<30>Nov  6 01:02:03 web-1 website[7]: hello user=\"1\"",
			func(s *Source, m *Message) { s.Old, m.Data = true, AppendParam(nil, "user", "1") }},
	} {
		s, m := source(), Message{Severity: Info, Time: at, Text: []byte("hello")}
		if c.change != nil {
			c.change(&s, &m)
		}
		if got := string(s.Append([]byte("x"), m)); got != "x"+c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, "x"+c.want)
		}
	}
}

func TestTooLong(t *testing.T) {
	s := source()
	for _, text := range []string{strings.Repeat("x", 1<<20), strings.Repeat("é", 1<<20), strings.Repeat("\x00", 1<<20), strings.Repeat("\x80", 9000)} {
		for old, limit := range map[bool]int{false: MaxStream, true: MaxOld} {
			s.Old = old
			b := s.Append(nil, Message{Severity: Info, Time: at, Text: []byte(text)})
			if len(b) > limit || len(b) < limit-3 {
				t.Errorf("%.4q..., old %v: %d bytes, limit %d", text, old, len(b), limit)
			}
			if utf8.ValidString(text) && !utf8.Valid(b) {
				t.Errorf("%.4q...: cut in the middle of a character", text)
			}
		}
	}
	s = source()
	s.Max = 400
	b := s.Append(nil, Message{Time: at, Text: []byte("hello"), Data: AppendParam(nil, "a", strings.Repeat("x", 400))})
	if !bytes.HasSuffix(b, []byte(" - - hello")) {
		t.Errorf("%s: data that does not fit is cut", b)
	}
}

func TestFrames(t *testing.T) {
	if got := string(AppendCounted(AppendCounted(nil, []byte("hello world")), nil)); got != "11 hello world0 " {
		t.Errorf("%q", got)
	}
	if got := string(AppendLine([]byte("a\n"), []byte("b"))); got != "a\nb\n" {
		t.Errorf("%q", got)
	}
}

// grammar is that of RFC 5424 section 6, as far as it is used.
var grammar = regexp.MustCompile(`^<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [!-~]{1,255} [!-~]{1,48} \d{1,10} - ` +
	`(-|\[attrs@32473( [!#-<>-\\^-~]{1,32}="([^"\\\]\x00-\x1f\x7f]|\\["\\\]])*")+\]) ((?s).*)$`)

// FuzzAppend: whatever is said is a message by the grammar, bounded, without
// control characters.
func FuzzAppend(f *testing.F) {
	f.Add("web-1", "app", "key", "value", []byte("text"), byte(6))
	f.Add("", "", "", "\x00\"]\\", []byte("a\nb\xff"), byte(200))
	f.Fuzz(func(t *testing.T, host, app, name, value string, text []byte, n byte) {
		s := Source{Facility: int(n) % 24, Host: host, App: app, PID: int(n), Max: MaxDatagram, Old: n >= 128}
		m := Message{Severity: Severity(n % 8), Time: at, Text: text, Data: AppendParam(nil, name, value)}
		b := s.Append(nil, m)
		if len(b) > s.Max || s.Old && len(b) > MaxOld {
			t.Fatalf("%d bytes", len(b))
		}
		if i := bytes.IndexFunc(b, func(r rune) bool { return r < ' ' || r == 0x7f }); i >= 0 {
			t.Fatalf("a control character at %d of %q", i, b)
		}
		if !s.Old && !grammar.Match(b) {
			t.Fatalf("not RFC 5424: %q", b)
		}
		if utf8.Valid(text) && utf8.ValidString(value) && !utf8.Valid(b) {
			t.Fatalf("not UTF-8 any more: %q", b)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	s, m := source(), Message{Severity: Info, Time: at, Text: bytes.Repeat([]byte("0123456789"), 10)}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s.Append(buf[:0], m)
	}
}
