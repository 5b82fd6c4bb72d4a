// Package xtest tells a test what the machine it runs on can do.
//
// A test that needs /dev/kvm cannot run everywhere, and a skip is easy not to
// notice. So a test skips with the reason where a feature is missing, but fails
// where the environment promises it: TAILOR_CI_HAS is a list of features
// ("kvm,tun,root"), read when CI=true or CI=1. .ci/run sets both.
package xtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The features of a machine that a test may need, as TAILOR_CI_HAS names them.
// A command that NeedCommand looks for is a feature by its own name.
const (
	KVM  = "kvm"  // /dev/kvm can be opened
	Root = "root" // the effective user is root
	Tun  = "tun"  // network interfaces can be made through /dev/net/tun

	Seccomp = "seccomp" // target spt works: see internal/spt

	Modules = "modules" // Go modules can be downloaded, see NeedModule
)

// NeedKVM skips t (or fails it, see the package comment) unless virtual
// machines can be made here.
func NeedKVM(t testing.TB) {
	t.Helper()
	Need(t, KVM, canOpen("/dev/kvm"), "load the kvm module, or join the group kvm")
}

// NeedRoot skips t (or fails it) unless it runs as root.
func NeedRoot(t testing.TB) {
	t.Helper()
	var err error
	if uid := os.Geteuid(); uid != 0 {
		err = fmt.Errorf("running as user %d, not root", uid)
	}
	Need(t, Root, err, "run the tests as root")
}

// NeedTun skips t (or fails it) unless it may make taps.
func NeedTun(t testing.TB) {
	t.Helper()
	NeedRoot(t)
	Need(t, Tun, canOpen("/dev/net/tun"), "load the tun module")
}

// NeedCommand returns the path of the program name, which Debian's package pkg
// holds. Without it, it skips t (or fails it).
func NeedCommand(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	Need(t, name, err, "apt-get install "+pkg)
	return path
}

// NeedFile skips t (or fails it) unless the file path is there, which Debian's
// package pkg holds. TAILOR_CI_HAS calls it feature.
func NeedFile(t testing.TB, feature, path, pkg string) {
	t.Helper()
	_, err := os.Stat(path)
	Need(t, feature, err, "apt-get install "+pkg)
}

// refused matches what the go command says when a module proxy answers that it
// does not serve a module.
var refused = regexp.MustCompile(`\b(403 Forbidden|404 Not Found|410 Gone)\b`)

// NeedModule downloads a module, MODULE@VERSION, unless it is there already. It
// skips t (or fails it) where that is not possible. A proxy that serves others
// and refuses this one is a matter of its own: TAILOR_CI_HAS promises such a
// module by its path.
func NeedModule(t testing.TB, module string) {
	t.Helper()
	cmd := exec.Command("go", "mod", "download", module)
	cmd.Dir = t.TempDir() // no module's, no workspace's choice of versions
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := cmd.CombinedOutput()
	feature, remedy := Modules, "go env GOPROXY must name a module proxy that can be reached"
	if refused.Match(out) {
		feature, _, _ = strings.Cut(module, "@")
		remedy = "the module proxy does not serve it; choose another with GOPROXY"
	}
	if err != nil {
		err = fmt.Errorf("go mod download %s: %w: %s", module, err, bytes.TrimSpace(out))
	}
	Need(t, feature, err, remedy)
}

func canOpen(dev string) error {
	f, err := os.OpenFile(dev, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Need skips t (or fails it) if err says that feature is missing. It ends t with
// the remedy.
func Need(t testing.TB, feature string, err error, remedy string) {
	t.Helper()
	if err == nil {
		return
	}
	if Promised(feature) {
		t.Fatalf("TAILOR_CI_HAS promises %s, but: %v (%s)", feature, err, remedy)
	}
	t.Skipf("no %s here: %v (%s)", feature, err, remedy)
}

// Promised reports whether the environment says that feature is there.
func Promised(feature string) bool {
	if ci := os.Getenv("CI"); ci != "true" && ci != "1" {
		return false
	}
	has := strings.FieldsFunc(os.Getenv("TAILOR_CI_HAS"), func(r rune) bool { return r == ',' || r == ' ' })
	return slices.Contains(has, feature)
}
