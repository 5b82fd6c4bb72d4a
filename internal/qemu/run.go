package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Config says how to run a guest.
type Config struct {
	Path    string // of QEMU
	Machine Machine
	Nets    []*os.File // for each of Machine.Nets: its tap, attached, or a socket whose datagrams are Ethernet frames

	Stdin          *os.File // nil: at its end
	Stdout, Stderr io.Writer
	Signals        <-chan unix.Signal // for the guest
	OutOfMemory    func()             // called at the end if the guest did not get all the memory it asked for; nil: nothing
}

// ErrCanceled is returned if the context ended the guest.
var ErrCanceled = errors.New("the guest was stopped")

// grace is how long QEMU may take to end after the guest has told its exit code.
const grace = 3 * time.Second

// startTime is how long QEMU may take to open its console, if nothing comes from
// it before.
const startTime = 10 * time.Second

// A guest is a QEMU that runs.
type guest struct {
	cfg     *Config
	cmd     *exec.Cmd
	dir     string // where QEMU finds its console when it starts
	dirOnce sync.Once
	input   *os.File // the guest's standard input, as a pipe
	control *net.UnixConn
	spools  []*spool
	outputs sync.WaitGroup // copies of what the guest writes
	last    tail           // of what QEMU itself says

	holding sync.Mutex // guards held, and has QEMU signaled in the order of its changes
	held    int        // how many spools have too much waiting

	told   chan struct{} // closed when exit is there
	exit   exitCode
	killed int // exit code of a guest that was stopped by a signal, else 0
}

// An exitCode is what the control channel had.
type exitCode struct {
	code        int
	ok          bool
	outOfMemory bool
	err         error
}

// Run runs a guest until it ends and returns its program's exit code. If QEMU
// fails, or ends without the guest's having told a code, that is an error with
// QEMU's own last words. Nothing is left behind.
func Run(ctx context.Context, cfg Config) (int, error) {
	if err := checkCmdLine(cfg.Machine.Type, cfg.Machine.CmdLine); err != nil {
		return 0, err
	}
	// The kernel kills QEMU when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g := &guest{cfg: &cfg, told: make(chan struct{})}
	defer g.removeDir()
	defer time.AfterFunc(startTime, g.removeDir).Stop()
	if err := g.start(); err != nil {
		return 0, err
	}
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() { g.watch(ctx, done) })
	err := g.cmd.Wait()
	close(done)
	watcher.Wait()
	<-g.told
	for _, s := range g.spools {
		s.end()
	}
	g.outputs.Wait()
	g.input.Close()
	g.control.Close()
	if g.exit.outOfMemory && cfg.OutOfMemory != nil {
		cfg.OutOfMemory()
	}
	return g.result(ctx, err)
}

// stoppedStatus is QEMU's exit status when the guest's ring 0 has ended it: what it
// wrote to isa-debug-exit, 0x31, doubled and one more.
const stoppedStatus = 0x31<<1 | 1

// result makes the outcome of how QEMU and the guest ended.
func (g *guest) result(ctx context.Context, wait error) (int, error) {
	switch {
	case g.killed != 0:
		return g.killed, nil
	case g.exit.ok:
		return g.exit.code, nil
	case ctx.Err() != nil:
		return 0, ErrCanceled
	case g.exit.err != nil:
		return 0, g.exit.err
	}
	var exit *exec.ExitError
	if errors.As(wait, &exit) && exit.ExitCode() == stoppedStatus {
		return 0, errors.New("the guest was stopped; the line above says why")
	}
	how := "QEMU ended, and the guest had told no exit code"
	if wait != nil {
		how = "QEMU failed: " + wait.Error()
	}
	if words := g.last.String(); words != "" {
		return 0, fmt.Errorf("%s; its last words:\n%s", how, words)
	}
	return 0, errors.New(how)
}

// start connects a QEMU to sockets and starts it.
func (g *guest) start() error {
	files := &inherited{}
	defer files.close()
	var e ends
	console, input, dir, err := files.console(&e.console)
	g.dir = dir
	if err != nil {
		return err
	}
	g.input, g.spools = input, []*spool{console}
	for _, backend := range []*string{&e.errors, &e.serial} {
		s, err := files.spool(backend)
		if err != nil {
			return err
		}
		g.spools = append(g.spools, s)
	}
	if g.control, err = files.socket(&e.control); err != nil {
		return err
	}
	m := g.cfg.Machine
	for i := range m.Nets {
		e.nets = append(e.nets, m.Nets[i].attached(files.add(g.cfg.Nets[i])))
	}
	m.Drives = slices.Clone(m.Drives)
	for i := range m.Drives {
		if f := m.Drives[i].File; f != nil {
			m.Drives[i].Path = files.path(f)
		}
	}
	g.cmd = exec.Command(g.cfg.Path, m.args(e)...)
	g.cmd.ExtraFiles = files.list
	g.cmd.Stdout, g.cmd.Stderr = &g.last, &g.last
	// A terminal's signals are for tailor to pass on.
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := g.cmd.Start(); err != nil {
		return fmt.Errorf("start QEMU: %w", err)
	}
	for i, s := range g.spools {
		to := g.cfg.Stderr
		if i == 0 {
			to = g.cfg.Stdout
		}
		g.outputs.Go(func() { s.copyTo(to, g.hold, g.removeDir) })
	}
	go g.copyIn()
	go func() {
		defer close(g.told)
		g.exit = readExit(g.control)
	}()
	return nil
}

// removeDir removes what QEMU needs to start only.
func (g *guest) removeDir() {
	g.dirOnce.Do(func() {
		if g.dir != "" {
			os.RemoveAll(g.dir)
		}
	})
}

// hold stops QEMU while too much of what the guest wrote waits.
func (g *guest) hold(more bool) {
	g.holding.Lock()
	defer g.holding.Unlock()
	if more {
		g.held++
		g.cmd.Process.Signal(unix.SIGSTOP)
	} else if g.held--; g.held == 0 {
		g.cmd.Process.Signal(unix.SIGCONT)
	}
}

// copyIn gives the guest standard input and, when it has taken all of it, tells
// the end. It is left behind if it waits for input when the guest ends.
func (g *guest) copyIn() {
	if g.cfg.Stdin != nil {
		if _, err := io.Copy(g.input, g.cfg.Stdin); errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EPIPE) {
			return // the guest has ended
		}
	}
	if drained(g.input) {
		g.control.Write([]byte{endOfInput})
	}
}

// watch passes signals on until done, and ends QEMU where it has to.
func (g *guest) watch(ctx context.Context, done <-chan struct{}) {
	sent, signals := 0, g.cfg.Signals
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			g.cmd.Process.Kill()
			return
		case <-g.told:
			g.expectEnd(done)
			return
		case sig, ok := <-signals:
			if !ok {
				signals = nil
			} else if sent = g.signal(sig, sent); sent > 1 {
				return
			}
		}
	}
}

// expectEnd gives QEMU, whose guest has told its exit code, time to end by
// itself: what the guest wrote before is still under way.
func (g *guest) expectEnd(done <-chan struct{}) {
	if g.exit.err == nil {
		select {
		case <-done:
			return
		case <-time.After(grace):
		}
	}
	g.cmd.Process.Kill()
}

// signal hands a signal to the guest. The second one that asks it to end ends
// QEMU. It returns how many of those there were.
func (g *guest) signal(sig unix.Signal, sent int) int {
	if sig == unix.SIGINT || sig == unix.SIGTERM {
		sent++
	}
	if sent > 1 {
		fmt.Fprintln(g.cfg.Stderr, "tailor: second signal: the guest was stopped at once")
		g.killed = 128 + int(sig)
		g.cmd.Process.Kill()
		return sent
	}
	g.control.Write([]byte{byte(sig)})
	return sent
}

// A tail keeps the last bytes that are written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// maxTail is how much of QEMU's messages is kept, in bytes.
const maxTail = 2 << 10

// Write implements [io.Writer]. It never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf) - maxTail; n > 0 {
		t.buf = append(t.buf[:0], t.buf[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.buf))
}
