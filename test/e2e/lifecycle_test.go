package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// A place is where tools are run that must leave nothing behind: a folder for
// temporary files, a home folder and, for root, a network of its own.
type place struct {
	ns        *namespace
	tmp, home string
	before    []string
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{tmp: t.TempDir(), home: t.TempDir()}
	if os.Geteuid() == 0 {
		p.ns = newTap(t)
	}
	needTool(t)
	p.before = p.look(t)
	return p
}

func (p *place) setting() setting {
	return setting{ns: p.ns, env: []string{"TMPDIR=" + p.tmp, "HOME=" + p.home, "XDG_CACHE_HOME=" + p.home + "/.cache"}}
}

func (p *place) start(t testing.TB, args ...string) *proc {
	t.Helper()
	return p.setting().start(t, args...)
}

// look lists what is there: processes, files, interfaces and sockets.
func (p *place) look(t *testing.T) (list []string) {
	t.Helper()
	for _, dir := range []string{p.tmp, p.home} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			list = append(list, "file "+path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list = append(list, p.processes(t)...)
	if p.ns == nil {
		return list
	}
	for line := range strings.Lines(p.ns.ip(t, "-o -br link")) {
		list = append(list, "interface "+strings.Join(strings.Fields(line), " "))
	}
	// Of the sockets, those that are no more than remembered (TIME_WAIT, 06)
	// are the kernel's.
	err := p.ns.do(func() error {
		for _, name := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "icmp", "packet"} {
			b, err := os.ReadFile("/proc/thread-self/net/" + name)
			if err != nil {
				return err
			}
			for i, line := range strings.Split(string(b), "\n") {
				if f := strings.Fields(line); i > 0 && len(f) > 3 && f[3] != "06" {
					list = append(list, "socket "+name+" "+strings.Join(f[1:4], " "))
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// processes lists those that run the tool in this place: each has the place's
// TMPDIR in its environment, as would a child of it.
func (p *place) processes(t *testing.T) (list []string) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		env, err := os.ReadFile(dir + "/environ")
		if err == nil && strings.Contains(string(env), "TMPDIR="+p.tmp+"\x00") {
			cmd, _ := os.ReadFile(dir + "/cmdline")
			list = append(list, "process "+strings.ReplaceAll(string(cmd), "\x00", " "))
		}
	}
	return list
}

// clean checks that nothing has been left behind. Sockets that were open when
// their process died take the kernel a moment.
func (p *place) clean(t *testing.T) {
	t.Helper()
	var after []string
	for range 100 {
		if after = p.look(t); slices.Equal(after, p.before) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, s := range after {
		if !slices.Contains(p.before, s) {
			t.Errorf("left behind: %s", s)
		}
	}
	for _, s := range p.before {
		if !slices.Contains(after, s) {
			t.Errorf("gone: %s", s)
		}
	}
}

// TestFiftyMachines starts and stops 50 machines in each way that one can end,
// as many at a time as there are processors, and looks for what is left of them.
// Under software emulation each way comes once.
func TestFiftyMachines(t *testing.T) { each(t, testFiftyMachines, separate) }

func testFiftyMachines(t *testing.T, on target) {
	p := newPlace(t)
	img := on.image(t, netGuestPkg)
	endings := []func(*testing.T, int){
		func(t *testing.T, i int) { // by itself
			p.start(t, on.line(img, "interfaces")...).wait().want(t, 0, []string{"eth0"}, nil)
		},
		func(t *testing.T, i int) { // after it served
			port := p.port(t, i)
			m := p.start(t, on.line("-p", port+":7", img, "serve")...)
			m.expect("ready\n")
			p.echo(t, port)
			m.signal(syscall.SIGTERM)
			m.wait().want(t, 0, nil, nil)
		},
		func(t *testing.T, i int) { // while it serves
			port := p.port(t, i)
			m := p.start(t, on.line("-p", port+":7", "-p", port+":7/udp", img, "serve")...)
			m.expect("ready\n")
			p.echo(t, port)
			m.signal(syscall.SIGINT)
			m.wait().want(t, 128+int(syscall.SIGINT), nil, nil)
		},
		func(t *testing.T, i int) { // killed
			m := p.start(t, on.line("-p", p.port(t, i)+":7", img, "serve")...)
			m.expect("ready\n")
			m.signal(syscall.SIGKILL)
			m.wait()
		},
		func(t *testing.T, i int) { // with code of its own
			p.start(t, on.line(img, "nothing-of-that-name")...).wait().want(t, 99, nil, nil)
		},
	}
	if on.has(ourMonitor) {
		endings = append(endings, func(t *testing.T, i int) { // of its own fault
			stopped(t, p.start(t, on.line(img, "ring", "head", "net", "1")...).wait(), "net transmit")
		})
	}
	if p.ns != nil {
		var tap sync.Mutex // it can be attached to once
		endings = append(endings, func(t *testing.T, i int) {
			tap.Lock()
			defer tap.Unlock()
			m := p.start(t, on.line("--net", "tap:"+tapName, "--ip", "host", img, "serve")...)
			m.expect("ready\n")
			m.signal(syscall.SIGTERM)
			m.wait().want(t, 0, nil, nil)
		})
	}
	next := make(chan int)
	var wg sync.WaitGroup
	for range max(2, runtime.NumCPU()) {
		wg.Go(func() {
			for i := range next {
				t.Run(fmt.Sprint(i), func(t *testing.T) { endings[i%len(endings)](t, i) })
			}
		})
	}
	for i := range max(on.times(50), len(endings)) {
		next <- i
	}
	close(next)
	wg.Wait()
	p.clean(t)
}

// port returns a port of the place that is free.
func (p *place) port(t testing.TB, i int) string {
	if p.ns != nil {
		return fmt.Sprint(20000 + i) // all ports are
	}
	_, port, _ := net.SplitHostPort(vmtest.FreePort(t, "tcp"))
	return port
}

// echo says something to a port of the place.
func (p *place) echo(t *testing.T, port string) {
	t.Helper()
	var c net.Conn
	err := p.ns.do(func() (err error) {
		c, err = net.DialTimeout("tcp", "127.0.0.1:"+port, dialTimeout)
		return err
	})
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(dialTimeout))
	io.WriteString(c, "x")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// TestInterruptAnyTime sends SIGINT at 30 moments of a start.
func TestInterruptAnyTime(t *testing.T) { each(t, testInterruptAnyTime, separate) }

func testInterruptAnyTime(t *testing.T, on target) {
	p := newPlace(t)
	img := on.image(t, websitePkg)
	span := 50 * time.Millisecond
	if on.slow > 1 {
		span = 500 * time.Millisecond // QEMU's own start is a part of it
	}
	codes := map[int]int{}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range max(10, on.times(30)) {
		delay := time.Duration(rnd.Int64N(int64(span)))
		m := p.start(t, on.line("-p", p.port(t, i)+":80", img)...)
		time.Sleep(delay)
		m.signal(syscall.SIGINT)
		r := m.wait()
		codes[r.code]++
		// 130 before the program has said that it handles the signal, its own 0
		// after, and before the tool has, the signal's usual effect.
		status := m.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if r.code != 130 && r.code != 0 && !(status.Signaled() && status.Signal() == syscall.SIGINT) || r.took > delay+5*time.Second {
			t.Errorf("SIGINT after %v: exit code %d after %v\n%s", delay, r.code, r.took, r.stderr)
		}
		if r.code == 0 && !strings.Contains(r.stderr, "shutting down") {
			t.Errorf("SIGINT after %v: ended with 0 but not by itself\n%s", delay, r.stderr)
		}
	}
	t.Logf("exit codes (-1 is by the signal): %v", codes)
	p.clean(t)
}

// TestInterruptBuild stops a build, which must leave no file.
func TestInterruptBuild(t *testing.T) {
	p := newPlace(t)
	out := filepath.Join(t.TempDir(), "x.img")
	s := p.setting()
	s.env = append(s.env, "GOCACHE="+t.TempDir(), "GOMODCACHE="+goEnv(t, "GOMODCACHE")) // so that it takes a while
	m := s.start(t, "build", "-o", out, "../../examples/hello")
	time.Sleep(time.Second)
	m.signal(syscall.SIGINT)
	m.wait().want(t, 130, nil, []string{"interrupted"})
	if entries, err := os.ReadDir(filepath.Dir(out)); err != nil || len(entries) > 0 {
		t.Errorf("left behind beside the output: %v, %v", entries, err)
	}
	if procs := p.processes(t); len(procs) > 0 {
		t.Errorf("left behind: %v", procs)
	}
	if entries, err := os.ReadDir(p.tmp); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func goEnv(t testing.TB, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
