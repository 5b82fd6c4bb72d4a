package devices

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
)

func newConsole(t testing.TB, c ConsoleConfig) *guest {
	return newGuest(t, func(g *guest) {
		if err := g.bus.AddConsole(&g.devs[0], c); err != nil {
			t.Fatal(err)
		}
	}, ConsoleSpec())
}

// print writes through an output queue as a driver does: it waits until the
// device has taken it.
func (g *guest) print(i int, parts ...string) {
	q := g.drv[0][i]
	var out [][]byte
	for _, p := range parts {
		b := g.buf(len(p))
		copy(b, p)
		out = append(out, b)
	}
	if err := q.Add(out, nil, 0); err != nil {
		g.t.Fatal(err)
	}
	q.Publish()
	var done [1]queue.Completion
	if n, err := q.Reap(done[:]); n != 1 || err != nil {
		g.t.Fatalf("output not taken when the doorbell returns: %d, %v", n, err)
	}
}

func TestConsoleOutput(t *testing.T) {
	leaks(t)
	var out, errs, both bytes.Buffer
	g := newConsole(t, ConsoleConfig{Output: io.MultiWriter(&out, &both), Error: io.MultiWriter(&errs, &both)})
	big := strings.Repeat("0123456789abcdef", 64<<10) // 1 MiB
	g.print(ConsoleOut, "hello, ", "world\n")
	g.print(ConsoleErr, "oops\n")
	g.print(ConsoleOut, "bye\n")
	g.print(ConsoleOut, big)
	if out.String() != "hello, world\nbye\n"+big || errs.String() != "oops\n" {
		t.Errorf("output %d bytes, error %q", out.Len(), errs.String())
	}
	if want := "hello, world\noops\nbye\n" + big; both.String() != want {
		t.Error("the order of the two is not kept")
	}
	if g.bell != 4 {
		t.Errorf("%d doorbells for 4 writes", g.bell)
	}
}

func TestConsoleBatch(t *testing.T) {
	var out bytes.Buffer
	g := newConsole(t, ConsoleConfig{Output: &out, Error: io.Discard})
	q := g.drv[0][ConsoleOut]
	for range 40 {
		if err := q.Add([][]byte{append(g.buf(1)[:0], 'x')}, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	q.Publish()
	if out.Len() != 40 || g.bell != 1 {
		t.Errorf("%d bytes by %d doorbells", out.Len(), g.bell)
	}
}

type failingWriter struct{ calls int }

var errFull = errors.New("disk full")

func (w *failingWriter) Write(p []byte) (int, error) {
	w.calls++
	return 0, errFull
}

func TestConsoleWriteError(t *testing.T) {
	var w failingWriter
	var failed []error
	var out bytes.Buffer
	g := newConsole(t, ConsoleConfig{Output: &out, Error: &w, Failed: func(queue int, err error) {
		if queue != ConsoleErr {
			t.Errorf("queue %d", queue)
		}
		failed = append(failed, err)
	}})
	g.print(ConsoleErr, "a", "b")
	g.print(ConsoleErr, "c")
	g.print(ConsoleOut, "d")
	if w.calls != 1 || len(failed) != 1 || failed[0] != errFull || out.String() != "d" {
		t.Errorf("%d calls, %v, output %q", w.calls, failed, out.String())
	}
}

// ask posts a buffer for input and waits for it.
func (g *guest) ask(n int) string {
	q := g.drv[0][ConsoleIn]
	b := g.buf(n)
	if err := q.Add(nil, [][]byte{b[:n/2], b[n/2:]}, 9); err != nil {
		g.t.Fatal(err)
	}
	q.Publish()
	var done [1]queue.Completion
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); g.park(time.Second, q) {
		if n, err := q.Reap(done[:]); err != nil {
			g.t.Fatal(err)
		} else if n == 1 {
			return string(b[:done[0].Len])
		}
	}
	g.t.Fatal("no input")
	return ""
}

func TestConsoleInput(t *testing.T) {
	leaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	g := newConsole(t, ConsoleConfig{Input: r, Output: io.Discard, Error: io.Discard})
	if _, err := w.WriteString("hello, world"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond)
	if got := g.ask(5); got != "hello" {
		t.Errorf("got %q", got)
	}
	time.Sleep(5 * time.Millisecond)
	// What the guest did not ask for is still in the pipe.
	var rest [7]byte
	if n, err := r.Read(rest[:]); string(rest[:n]) != ", world" || err != nil {
		t.Errorf("left in the pipe: %q, %v", rest[:n], err)
	}
	time.AfterFunc(5*time.Millisecond, func() { w.WriteString("late") })
	if got := g.ask(100); got != "late" {
		t.Errorf("got %q", got)
	}
	w.Close()
	for range 3 {
		if got := g.ask(10); got != "" {
			t.Errorf("at the end of the file: %q", got)
		}
	}
}

func TestConsoleInputKinds(t *testing.T) {
	leaks(t)
	path := t.TempDir() + "/in"
	if err := os.WriteFile(path, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := newConsole(t, ConsoleConfig{Input: f, Output: io.Discard, Error: io.Discard})
	if got := g.ask(2) + "," + g.ask(2) + "," + g.ask(2); got != "ab,c," {
		t.Errorf("regular file: %q", got)
	}
	g.stop()
	g = newConsole(t, ConsoleConfig{Output: io.Discard, Error: io.Discard})
	if got := g.ask(2); got != "" {
		t.Errorf("no input: %q", got)
	}
}

// TestConsoleStop: a read that never ends does not hold up Stop.
func TestConsoleStop(t *testing.T) {
	leaks(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	r.Fd() // makes the descriptor a blocking one, as standard input is
	g := newConsole(t, ConsoleConfig{Input: r, Output: io.Discard, Error: io.Discard})
	q := g.drv[0][ConsoleIn]
	if err := q.Add(nil, [][]byte{g.buf(10)}, 0); err != nil {
		t.Fatal(err)
	}
	q.Publish()
	time.Sleep(5 * time.Millisecond)
	g.stop()
}

func TestConsoleHostile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		lie   func(g *guest, q *abi.Queue)
		want  error
		says  string
	}{
		{"output past memory", ConsoleOut, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, ramSize, 1, 0, 0) }, virtq.ErrMemory, "console output 1"},
		{"error loop", ConsoleErr, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 1, virtio.DescNext, 0) }, virtq.ErrLoop, "console output 2"},
		{"output zero", ConsoleOut, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 0, 0, 0) }, virtq.ErrZeroLength, "console output 1"},
		{"input readable", ConsoleIn, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 1, 0, 0) }, virtq.ErrDirection, "console input"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			leaks(t)
			g := newConsole(t, ConsoleConfig{Output: io.Discard, Error: io.Discard})
			q := &g.devs[0].Queues[tt.queue]
			tt.lie(g, q)
			g.setAvail(q, 1)
			g.bus.Notify(uint64(q.Notify))
			g.wantError(tt.says)
			if !errors.Is(g.bus.Err(), tt.want) {
				t.Errorf("%v, want %v", g.bus.Err(), tt.want)
			}
		})
	}
}
