package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// The target spt: what it alone promises. What all targets do is tested with them.

// A system call by an instruction of the program's own: those that
// golang.org/x/sys makes are answered, any other ends the program by name.
func TestProcessRawCalls(t *testing.T) {
	on := targetSPT(t)
	img := on.image(t, "./testdata/rawcalls")
	const xsys = "x/sys 1 0 0 0 0\n"
	on.run(t, img, strconv.Itoa(syscall.SYS_GETPID)).want(t, 0, []string{"result 1\n", xsys}, nil)
	for num, name := range map[int]string{
		syscall.SYS_OPENAT: "openat(0xffffffffffffff9c, ", syscall.SYS_EXECVE: "execve(", syscall.SYS_SOCKET: "socket(",
		syscall.SYS_PTRACE: "ptrace(", syscall.SYS_MPROTECT: "mprotect(", 0x40000000 + syscall.SYS_WRITE: "write of x32 programs(",
		5000: "number 5000(",
	} {
		r := on.run(t, img, strconv.Itoa(num))
		r.want(t, 128+int(syscall.SIGSYS), nil, []string{"tailor: error: the guest was stopped: it made the system call " + name, "tailor: hint: "})
		if strings.Contains(r.stdout, "result") {
			t.Errorf("%s returned:\n%s", name, r.stdout)
		}
	}
}

// The guest's process as the host sees it: no rights, no files but its bell, no
// environment; and it goes with the tool.
func TestProcessConfined(t *testing.T) {
	on, addr := targetSPT(t), vmtest.FreePort(t, "tcp")
	p := on.start(t, nil, "-p", addr+":80", on.image(t, websitePkg))
	if !p.errOut.Await("listening on") {
		t.Fatalf("no server\n%s", p.errOut)
	}
	wantWebsite(t, nil, addr)
	child := childOf(t, p.cmd.Process.Pid)
	status := readProc(t, child, "status")
	for _, want := range []string{"Seccomp:\t2\n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n", "Threads:\t1\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in its status:\n%s", want, status)
		}
	}
	if env := readProc(t, child, "environ"); env != "" {
		t.Errorf("environment %q", env)
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", child))
	if err != nil || len(fds) != 1 || fds[0].Name() != "0" {
		t.Errorf("file descriptors %v, %v", fds, err)
	}
	for line := range strings.Lines(readProc(t, child, "maps")) {
		if f := strings.Fields(line); strings.Contains(f[1], "w") && strings.Contains(f[1], "x") || strings.Contains(line, "[stack]") || strings.Contains(line, "[vdso]") {
			t.Errorf("mapping %s", line)
		}
	}
	for _, ns := range []string{"user", "mnt", "net", "ipc", "uts"} {
		a, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", child, ns))
		if b, _ := os.Readlink("/proc/self/ns/" + ns); a == b {
			t.Errorf("it shares the %s namespace %s", ns, a)
		}
	}
	p.signal(syscall.SIGKILL)
	p.wait()
	gone(t, child)
}

func readProc(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// childOf returns the one child of a process.
func childOf(t *testing.T, pid int) int {
	t.Helper()
	children := childrenOf(t, pid)
	if len(children) != 1 {
		t.Fatalf("children %v", children)
	}
	return children[0]
}

// childrenOf returns the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) (list []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range dirs {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		f := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if child, _ := strconv.Atoi(filepath.Base(filepath.Dir(name))); string(f[1]) == strconv.Itoa(pid) {
			list = append(list, child)
		}
	}
	return list
}

// gone waits until a process is no more.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := syscall.Kill(pid, 0); err == syscall.ESRCH {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there: %s", pid, readProc(t, pid, "status"))
		}
	}
}

// Fifty, one after the other, leave nothing behind.
func TestProcessFifty(t *testing.T) {
	on := targetSPT(t)
	img := on.image(t, "../../examples/hello")
	for range 50 {
		on.run(t, img).want(t, 0, []string{"Hello"}, nil)
	}
	if list := childrenOf(t, os.Getpid()); len(list) > 0 {
		t.Errorf("processes are left: %v", list)
	}
	// Nor are there any that lost their parent.
	name := filepath.Base(img)
	for _, pid := range childrenOf(t, 1) {
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.HasPrefix(name, strings.TrimSpace(string(comm))) && len(comm) > 4 {
			t.Errorf("process %d is left: %s", pid, comm)
		}
	}
}

// An image that was built for one of the two runs on the other.
func TestProcessSameImage(t *testing.T) {
	img := buildImage(t, "spt", "../../examples/hello")
	for _, on := range []target{targetSPT(t), targetHVT(t)} {
		on.run(t, img).want(t, 0, []string{"Hello"}, nil)
	}
	run(t, "run", img).want(t, 0, []string{"Hello"}, []string{"target spt: the image was built for it"})
	var diff struct{ Settings, Sections, Functions []struct{ Name string } }
	r := run(t, "diff", "--json", img, buildImage(t, "hvt", "../../examples/hello"))
	if err := json.Unmarshal([]byte(r.stdout), &diff); err != nil || r.code != 1 {
		t.Fatalf("exit code %d, %v: %s", r.code, err, r.stderr)
	}
	for _, c := range diff.Settings {
		if c.Name != "note: target" && c.Name != "note: flags" {
			t.Errorf("the two images differ in more than their target: %s", c.Name)
		}
	}
	if len(diff.Settings) == 0 || len(diff.Sections)+len(diff.Functions) > 0 {
		t.Errorf("the two images differ in more than their target: %s", r.stdout)
	}
}

// One that rings for nothing is not served. (Its rings are attacked with those of
// a virtual machine.)
func TestProcessBell(t *testing.T) {
	on := targetSPT(t)
	stopped(t, on.run(t, on.image(t, netGuestPkg), "bell", "no-queue"), "the guest was stopped: ", "does not exist")
}
