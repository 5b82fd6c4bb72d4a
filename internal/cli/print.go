package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// How the tool speaks, everywhere:
//
//   - stdout carries the result and nothing else. All of ours goes to stderr.
//   - An error is one line, "tailor: error: what, where (limit)", and if there
//     is a remedy one more, "tailor: hint: the exact next command".
//   - Lower case, no trailing period, plain ASCII, no colour.
//   - Output of the go command and of the program is passed on unmodified.
//   - A terminal changes only how progress looks.

// A Printer writes the tool's own lines to stderr. It may be used by several
// goroutines at once.
type Printer struct {
	mu       sync.Mutex
	w        io.Writer
	tty      bool
	progress bool // a progress line is on the terminal
	name     string
}

// NewPrinter returns a Printer for the tool called name that writes to w.
func NewPrinter(name string, w io.Writer) *Printer {
	f, ok := w.(*os.File)
	return &Printer{w: w, name: name, tty: ok && IsTerminal(int(f.Fd()))}
}

// IsTerminal reports whether the file descriptor is a terminal.
func IsTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// Infof prints a line of information.
func (p *Printer) Infof(format string, args ...any) {
	p.line("", fmt.Sprintf(format, args...))
}

// Warnf prints a line that is worth attention but ends nothing.
func (p *Printer) Warnf(format string, args ...any) {
	p.line("warning: ", fmt.Sprintf(format, args...))
}

// Error prints err and the remedy that came with it.
func (p *Printer) Error(err error) {
	p.line("error: ", err.Error())
	if h := hint.Of(err); h != "" {
		p.line("hint: ", h)
	}
}

// line prints text with the tool's name before each of its lines, so that a
// multi-line message of another program does not look like theirs, and nothing in
// them moves the cursor but tabs.
func (p *Printer) line(kind, text string) {
	var b strings.Builder
	for i, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			kind = strings.Repeat(" ", len(kind))
		}
		fmt.Fprintf(&b, "%s: %s%s\n", p.name, kind, printable(l, "\t"))
	}
	io.WriteString(p, b.String())
}

// Printable returns s without what a terminal would obey, or would show the rest in
// another order for: names in a volume, say, may be chosen by who means harm.
func Printable(s string) string { return printable(s, "") }

// printable is Printable but for the characters in but.
func printable(s, but string) string {
	return strings.Map(func(r rune) rune {
		if (r < ' ' || r >= 0x7F && r < 0xA0 || unicode.Is(unicode.Bidi_Control, r)) && !strings.ContainsRune(but, r) {
			return '?'
		}
		return r
	}, s)
}

// Write passes b on unmodified, after the progress line is removed.
func (p *Printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	return p.w.Write(b)
}

func (p *Printer) erase() {
	if p.progress {
		io.WriteString(p.w, "\r\x1b[K")
		p.progress = false
	}
}

// quiet is how long something may last before progress is shown.
const quiet = time.Second

// Progress tells what is being done if it lasts more than a second: on a
// terminal one line that counts the seconds and goes away, otherwise one plain
// line. The returned function ends it and returns when nothing more will be
// written.
func (p *Printer) Progress(what string) (stop func()) {
	what = Printable(what)
	quit, done := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		wait := time.NewTimer(quiet)
		defer wait.Stop()
		for {
			select {
			case <-quit:
				return
			case <-wait.C:
			}
			if !p.tty {
				p.Infof("%s", what)
				return
			}
			p.show(what, time.Since(start))
			wait.Reset(time.Second)
		}
	}()
	return func() {
		close(quit)
		<-done
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	}
}

func (p *Printer) show(what string, since time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, "\r\x1b[K%s: %s (%d s)", p.name, what, int(since.Seconds()))
	p.progress = true
}
