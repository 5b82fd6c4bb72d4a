package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/qemu"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// onQEMU is how the tool runs images on a machine of QEMU.
func onQEMU(t testing.TB, machine string, args ...string) []string {
	t.Helper()
	xtest.NeedCommand(t, qemu.Program, "qemu-system-x86")
	return append([]string{"run", "-t", "qemu", "--machine", machine, "-m", "64M"}, args...)
}

// TestQEMU: each machine is the one that was asked for, and the one that is not in
// the table of targets has exit codes, arguments, environment, both outputs and
// input as those have.
func TestQEMU(t *testing.T) {
	img := buildImage(t, "virtio", guestPkg)
	big := bytes.Repeat([]byte("0123456789abcde\n"), 20000)
	for _, machine := range qemu.Machines {
		on := func(args ...string) []string { return onQEMU(t, machine, args...) }
		t.Run(machine, func(t *testing.T) {
			run(t, on(img, "exit", "77")...).want(t, 77, nil, []string{"tailor: target qemu: machine " + machine + ", "})
			if machine != "pc" {
				return
			}
			r := run(t, on("-e", `T_A=b "c" \`, img, "args", "x y", "", `"`, "--", "virtio_mmio.device=1")...)
			r.want(t, 0, nil, []string{"to stderr\n"})
			if want := "x y||\"|--|virtio_mmio.device=1\nT_A=b \"c\" \\\n"; r.stdout != want {
				t.Errorf("stdout %q, want %q", r.stdout, want)
			}
			run(t, on(img, "panic")...).want(t, 2, nil, []string{"panic: boo"})
			r = start(t, bytes.NewReader(big), on(img, "cat")...).wait()
			r.want(t, 0, nil, []string{"copied 320000"})
			if r.stdout != string(big) {
				t.Errorf("of %d bytes of input, %d came back", len(big), len(r.stdout))
			}
		})
	}
}

// TestQEMUEndsWithTool: no QEMU outlives the tool, not even one that is killed.
func TestQEMUEndsWithTool(t *testing.T) {
	img := buildImage(t, "virtio", guestPkg)
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := start(t, nil, onQEMU(t, "microvm", img, "sleep", s.String())...)
		p.expect("ready\n")
		if n := qemus(t, img, s.String()); n != 1 {
			t.Fatalf("%d QEMUs run", n)
		}
		p.signal(s)
		<-p.Done
		for end := time.Now().Add(10 * time.Second); qemus(t, img, s.String()) > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%v: QEMU is left behind", s)
			}
		}
	}
}

// qemus counts the QEMUs that run an image with some argument.
func qemus(t *testing.T, img, arg string) (n int) {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		line, err := os.ReadFile(name)
		if err == nil && strings.Contains(string(line), "-nodefaults") && strings.Contains(string(line), img) && strings.Contains(string(line), arg) {
			n++
		}
	}
	return n
}

// TestQEMUBad: what cannot work ends with a line that says why, and code 125.
func TestQEMUBad(t *testing.T) {
	img, hvt := buildImage(t, "virtio", guestPkg), buildImage(t, "hvt", guestPkg)
	run(t, onQEMU(t, "microvm", hvt, "nothing")...).want(t, 125, nil, []string{"was built for target hvt", "hint: run it with -t hvt"})
	run(t, "run", "-t", "hvt", img, "nothing").want(t, 125, nil, []string{"was built for target virtio", "hint: run it with -t qemu"})
	run(t, "run", img, "exit", "3").want(t, 3, nil, []string{"target qemu: the image was built for it"})
	run(t, onQEMU(t, "pc", img, "args", strings.Repeat("x", 4096))...).want(t, 125, nil, []string{"at most 4095", "hint: use --machine microvm"})
	run(t, onQEMU(t, "microvm", "-m", "1M", img, "nothing")...).want(t, 125, nil, []string{"1M of memory are too few", "hint: give it more, for example -m "})
}

// TestQEMUNetwork: a published port, and a tap, on the machine that is not in the
// table of targets.
func TestQEMUNetwork(t *testing.T) {
	img := buildImage(t, "virtio", websitePkg)
	t.Run("user", func(t *testing.T) {
		at := vmtest.FreePort(t, "tcp")
		p := start(t, nil, onQEMU(t, "pc", "-p", at+":80", img)...)
		if !p.ErrOut.Await("listening on") {
			t.Fatalf("it does not listen:\n%s", p.ErrOut)
		}
		wantWebsite(t, nil, at)
		run(t, onQEMU(t, "pc", "-p", at+":80", img)...).want(t, 125, nil, []string{"is already in use on this host", "publish another port"})
		p.signal(syscall.SIGTERM)
		p.wait().want(t, 0, nil, []string{"shutting down"})
	})
	t.Run("tap", func(t *testing.T) {
		ns := newTap(t)
		p := setting{ns: ns}.start(t, onQEMU(t, "pc", "--net", "tap:"+tapName, "--ip", "host", "--param", "hostname=web-1", img)...)
		if !p.ErrOut.Await("listening on") {
			t.Fatalf("it does not listen:\n%s", p.ErrOut)
		}
		wantWebsite(t, ns, tapGuest4+":80")
		p.signal(syscall.SIGINT)
		p.wait().want(t, 0, nil, nil)
	})
}

// wantWebsite checks that a web server answers clients in a namespace.
func wantWebsite(t *testing.T, ns *namespace, addr string) {
	t.Helper()
	r := road{ns: ns, guest: map[string]string{"tcp 80": addr}}
	if body, err := get(r.client(t, false), "/"); err != nil || body == "" {
		t.Fatalf("%s: %v, %d bytes", addr, err, len(body))
	}
}
