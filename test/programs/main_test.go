// Package programs tests that other people's programs run: each is fetched from
// the module proxy at a pinned version, built without a change, booted, and
// driven by a real client.
//
// Where the module has a package main, it is that; where it is a library, a small
// main in testdata uses it, a module of its own with its own go.mod.
package programs

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/spt"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

var allTargets = flag.Bool("alltargets", false, "run each program on each target, not just on hvt and some more; takes a quarter of an hour")

var memory = flag.String("memory", "", "size of a guest's memory, as for tailor run -m")

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(vmtest.Main(m))
}

// limit bounds a guest's life.
const limit = time.Minute

// local returns the image's source: a module of ours in testdata.
func local(t testing.TB, name string) string {
	t.Helper()
	dir := "./testdata/" + name
	sums, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(sums)) {
		// A line of a requirement; those that are indirect are of the same
		// proxy, and the build fetches them.
		f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(f) == 2 && strings.HasPrefix(f[1], "v") {
			xtest.NeedModule(t, f[0]+"@"+f[1])
		}
	}
	return dir
}

// upstream returns the image's source: a package main of a module at a version.
func upstream(t testing.TB, module, dir, version string) string {
	t.Helper()
	xtest.NeedModule(t, module+"@"+version)
	return module + dir + "@" + version
}

// plain builds a program as a process of this machine.
func plain(t testing.TB, pkg string) string {
	t.Helper()
	return vmtest.Image(t, "unix", pkg)
}

// A target is a way to run a program; test/e2e is about how they differ.
type target struct {
	name, build string
	flags       []string
	patience    time.Duration // how much longer than on hvt everything may take, as a factor
}

var targets = []target{
	{"hvt", build.HVT, []string{"-t", "hvt"}, 1},
	{"spt", build.HVT, []string{"-t", "spt"}, 1},
	{"qemu-microvm", build.Virtio, []string{"-t", "qemu", "--machine", "microvm"}, 5},
	{"qemu-q35", build.Virtio, []string{"-t", "qemu", "--machine", "q35"}, 5},
}

// each runs f on hvt and the targets that more names, or with -alltargets on each.
func each(t *testing.T, f func(t *testing.T, on target), more ...string) {
	for _, on := range targets {
		if on.name != "hvt" && !slices.Contains(more, on.name) && !*allTargets {
			continue
		}
		t.Run(on.name, func(t *testing.T) {
			on.works(t)
			f(t, on)
		})
	}
}

// works skips the test where the machine cannot run the target.
func (on target) works(t testing.TB) {
	t.Helper()
	switch {
	case on.build == build.Virtio:
		xtest.NeedCommand(t, qemu.Program, "qemu-system-x86")
	case on.name == "spt":
		xtest.Need(t, xtest.Seccomp, spt.Check(), "see tailor doctor")
	default:
		xtest.NeedKVM(t)
	}
}

// A guest is a program in a virtual machine, on the user network.
type guest struct {
	*vmtest.Proc
	t       testing.TB
	started time.Time
	on      target
	addrs   map[string]string // "80/tcp" to the address on this machine's loopback
}

// boot starts a program, and publishes its ports, "80/tcp".
func (on target) boot(t testing.TB, pkg string, ports []string, args ...string) *guest {
	t.Helper()
	return on.bootWith(t, pkg, nil, ports, args...)
}

// bootWith is boot with more flags of tailor run.
func (on target) bootWith(t testing.TB, pkg string, flags, ports []string, args ...string) *guest {
	t.Helper()
	on.works(t)
	return on.bootImage(t, vmtest.Image(t, on.build, pkg), flags, ports, args...)
}

// bootImage is bootWith of an image.
func (on target) bootImage(t testing.TB, img string, flags, ports []string, args ...string) *guest {
	t.Helper()
	if info, err := os.Stat(img); err == nil {
		t.Logf("the image has %.2f MB", float64(info.Size())/1e6)
	}
	g := &guest{t: t, on: on, addrs: map[string]string{}}
	line := append(append([]string{"run"}, on.flags...), flags...)
	for _, p := range ports {
		port, network, _ := strings.Cut(p, "/")
		addr := vmtest.FreePort(t, network)
		g.addrs[p] = addr
		line = append(line, "-p", fmt.Sprintf("%s:%s/%s", addr, port, network))
	}
	if *memory != "" {
		line = append(line, "-m", *memory)
	}
	g.started = time.Now()
	g.Proc = vmtest.Setting{Limit: limit * on.patience}.Start(t, append(append(line, img), args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the guest printed\n%s%s", vmtest.Clip(g.Out.String()), vmtest.Clip(g.ErrOut.String()))
		}
	})
	return g
}

// port returns the number of the port of this machine that leads to a guest's.
func (g *guest) port(of string) string {
	_, port, _ := net.SplitHostPort(g.addrs[of])
	return port
}

// url returns an address in the guest's port 8080.
func (g *guest) url(path string) string { return "http://" + g.addrs["8080/tcp"] + path }

// answers asks until ask succeeds, which is when the guest serves.
func (g *guest) answers(ask func() error) {
	g.t.Helper()
	var err error
	for deadline := time.Now().Add(15 * time.Second * g.on.patience); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		select {
		case <-g.Done:
			g.t.Fatalf("the guest ended: %+v", g.Wait())
		default:
		}
		if err = ask(); err == nil {
			g.first()
			return
		}
	}
	g.t.Fatalf("no answer: %v", err)
}

// first tells how long the first answer took from the start of the tool.
func (g *guest) first() {
	g.t.Logf("the first answer came after %v", time.Since(g.started).Round(100*time.Microsecond))
}

// answersHTTP is answers for a server of HTTP.
func (g *guest) answersHTTP(url string) {
	g.t.Helper()
	c := &http.Client{Timeout: 5 * time.Second}
	defer c.CloseIdleConnections()
	g.answers(func() error {
		resp, err := c.Get(url)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	})
}

// exchange sends text over a new TCP connection, and reads until says has come
// back.
func exchange(addr, send, says string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, send); err != nil {
		return err
	}
	var got []byte
	for buf := make([]byte, 4096); !strings.Contains(string(got), says); {
		n, err := c.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			return fmt.Errorf("%w after %q", err, got)
		}
	}
	return nil
}

// client runs a client and returns what it prints; it must end with status 0.
func client(t testing.TB, path string, args ...string) string {
	t.Helper()
	return clientIn(t, vmtest.Setting{}, path, args...)
}

func clientIn(t testing.TB, s vmtest.Setting, path string, args ...string) string {
	t.Helper()
	r := s.Exec(t, path, args...).Wait()
	if r.Code != 0 {
		t.Fatalf("%s %q: exit code %d\nstdout:\n%s\nstderr:\n%s", filepath.Base(path), args, r.Code, vmtest.Clip(r.Stdout), vmtest.Clip(r.Stderr))
	}
	return r.Stdout
}

// curl runs curl and returns the body of the answer, which must be a success.
func curl(t testing.TB, args ...string) string {
	t.Helper()
	path := xtest.NeedCommand(t, "curl", "curl")
	return client(t, path, append([]string{"-sS", "--fail-with-body", "--max-time", "20"}, args...)...)
}

// want compares an answer.
func want(t testing.TB, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, vmtest.Clip(got), vmtest.Clip(want))
	}
}
