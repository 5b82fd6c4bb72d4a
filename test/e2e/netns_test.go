package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/xtest"
)

// A namespace is a network of the test's own: nothing in it disturbs the host
// or is disturbed by it, and it goes away with the test.
type namespace struct{ f *os.File }

func newNamespace(t testing.TB) *namespace {
	t.Helper()
	xtest.NeedRoot(t)
	xtest.NeedCommand(t, "ip", "iproute2")
	n := &namespace{}
	err := onThread(func() (err error) {
		if err = unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		n.f, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.f.Close() })
	n.ip(t, "link set lo up")
	return n
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// do runs f in the namespace: sockets that it makes and programs that it starts
// are there. f must not go on in other goroutines. A nil namespace is the
// test's own.
func (n *namespace) do(f func() error) error {
	if n == nil {
		return f()
	}
	return onThread(func() error {
		if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

// ip runs the command ip in the namespace and returns its output.
func (n *namespace) ip(t testing.TB, line string) string {
	t.Helper()
	return n.command(t, "ip", strings.Fields(line)...)
}

func (n *namespace) command(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out []byte
	err := n.do(func() (err error) {
		out, err = exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// The addresses on a tap, of the ranges for documentation (RFC 5737, RFC 3849).
const (
	tapName             = "tap0"
	tapHost4, tapGuest4 = "192.0.2.1", "192.0.2.2"
	tapHost6, tapGuest6 = "2001:db8::1", "2001:db8::2"
)

// newTap makes a namespace with a tap in it.
func newTap(t testing.TB) *namespace {
	t.Helper()
	xtest.NeedTun(t)
	n := newNamespace(t)
	n.ip(t, "tuntap add dev "+tapName+" mode tap")
	n.ip(t, "addr add "+tapHost4+"/24 dev "+tapName)
	n.ip(t, "addr add "+tapHost6+"/64 dev "+tapName+" nodad")
	n.ip(t, "link set "+tapName+" up")
	return n
}
