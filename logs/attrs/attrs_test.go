package attrs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/logs/capture"
	"github.com/tailor-os/tailor/logs/syslog"
)

// inner logs while it is looked at.
type inner struct{}

func (inner) LogValue() slog.Value { slog.Warn("inside"); return slog.StringValue("inner") }

// TestRecords: a record has its attributes as structured data, and its line is
// what slog's default logger writes without us.
func TestRecords(t *testing.T) {
	var console bytes.Buffer
	var got []string
	var record capture.Recognizer
	log.SetOutput(writer(func(p []byte) {
		if record != nil {
			var m syslog.Message
			var ok bool
			if p, _, m, ok = record(p); ok {
				got = append(got, fmt.Sprintf("%d %s:%s", m.Severity, m.Text, m.Data))
			}
		}
		console.Write(p)
	}))
	usual := isConsole
	isConsole = func(w io.Writer) bool { _, ok := w.(writer); return ok }
	defer func() { log.SetOutput(os.Stderr); isConsole = usual }()
	log.SetFlags(log.Lmsgprefix | log.Lshortfile)
	say := func() {
		slog.Info("plain")
		slog.Error("with", "user", "a \"b\"", "n", 7, "err", errors.New("x\ny"), slog.Group("g", "a", 1, slog.Group("", "b", 2*time.Second)))
		l := slog.With("id", 1).WithGroup("req").With("path", "/")
		l.Log(t.Context(), slog.LevelInfo+2, "request", "ok", true)
		slog.Warn("nested", "v", inner{})
		slog.Debug("not shown")
		log.Print("by log")
		slog.Info("large", "a", strings.Repeat("x", 8<<10), "b", 1)
		slog.Log(t.Context(), slog.LevelError+4, "worse")
	}
	say()
	want := console.String()
	console.Reset()
	if record = Install(); record == nil {
		t.Fatal("not installed")
	}
	say()
	if console.String() != want {
		t.Errorf("the console had\n%.2000s\nwithout us\n%.2000s", console.String(), want)
	}
	wanted := []string{
		"6 plain:",
		`3 with: user="a \"b\"" n="7" err="x#012y" g.a="1" g.b="2s"`,
		`5 request: id="1" req.path="/" req.ok="true"`,
		"4 inside:", `4 nested: v="inner"`,
		`6 large: b="1"`, "2 worse:",
	}
	if strings.Join(got, "\n") != strings.Join(wanted, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
	// A log that goes elsewhere has no marks.
	var elsewhere bytes.Buffer
	log.SetOutput(&elsewhere)
	slog.Info("x", "a", 1)
	if strings.Contains(elsewhere.String(), "\x00") || !strings.Contains(elsewhere.String(), "INFO x a=1") {
		t.Errorf("%q", elsewhere.String())
	}
	if Install() != nil {
		t.Error("installed over another handler")
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
