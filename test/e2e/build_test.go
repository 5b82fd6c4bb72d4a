package e2e

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

// otherGo is the release beside the one that runs the tests. It comes from the
// module proxy.
const otherGo = "go1.27.4"

// runIn runs the tool in a folder with additions to the environment.
func runIn(t *testing.T, dir string, env []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), needTool(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, errOut strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// write makes files below dir.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// A second Go release builds images that work, network included.
func TestOtherToolchain(t *testing.T) {
	xtest.NeedKVM(t)
	env := []string{"GOTOOLCHAIN=" + otherGo}
	img := filepath.Join(t.TempDir(), "guest.img")
	if _, stderr, code := runIn(t, ".", env, "build", "-o", img, guestPkg); code != 0 {
		t.Fatal(stderr)
	}
	run(t, "run", img, "goversion").want(t, 0, []string{otherGo + "\n"}, nil)
	run(t, "run", img, "recover").want(t, 0, []string{"done\n"}, nil)
	run(t, "run", img, "goroutines").want(t, 0, []string{"locked ok\n"}, nil)
	run(t, "run", img, "files").want(t, 0, []string{"hello\n"}, nil)
	run(t, "run", img, "overflow").want(t, 2, nil, []string{"stack overflow"})
	stdout, stderr, code := runIn(t, ".", env, "run", "./testdata/loopback")
	if code != 0 || stdout != "echoed over tcp\nechoed over udp\n" {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
	}
}

// Programs build from wherever they are.
func TestSources(t *testing.T) {
	xtest.NeedKVM(t)
	const main = "package main\n\nimport (\n\t\"fmt\"\n\n\t\"example.com/dep\"\n)\n\nfunc main() { fmt.Println(dep.Name) }\n"
	const dep = "package dep\n\nconst Name = \"from dep\"\n"
	check := func(t *testing.T, dir string, args ...string) {
		t.Helper()
		stdout, stderr, code := runIn(t, dir, nil, append([]string{"run"}, args...)...)
		if code != 0 || stdout != "from dep\n" {
			t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
		}
	}
	t.Run("workspace", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"go.work":     "go 1.26\n\nuse (\n\t./app\n\t./dep\n)\n",
			"app/go.mod":  "module example.com/app\n\ngo 1.26\n",
			"app/main.go": main,
			"dep/go.mod":  "module example.com/dep\n\ngo 1.26\n",
			"dep/dep.go":  dep,
		})
		check(t, filepath.Join(dir, "app"), ".")
		check(t, dir, "./app")
	})
	t.Run("vendor", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"go.mod":                        "module example.com/app\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n",
			"main.go":                       main,
			"vendor/modules.txt":            "# example.com/dep v1.0.0\n## explicit; go 1.26\nexample.com/dep\n",
			"vendor/example.com/dep/dep.go": dep,
		})
		check(t, dir, ".")
		for _, name := range []string{"go.mod", "main.go", "vendor"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 3 {
			t.Errorf("the user's folder has %d entries after the build", len(entries))
		}
	})
	t.Run("files", func(t *testing.T) {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			"one.go": "package main\n\nimport \"net\"\n\nfunc main() { println2(net.ParseIP(\"::1\").String()) }\n",
			"two.go": "package main\n\nimport \"fmt\"\n\nfunc println2(s string) { fmt.Println(s) }\n",
		})
		stdout, stderr, code := runIn(t, dir, []string{"GO111MODULE="}, "run", "one.go", "two.go")
		if code != 0 || stdout != "::1\n" {
			t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
		}
	})
	t.Run("module at a version", func(t *testing.T) {
		stdout, stderr, code := runIn(t, t.TempDir(), nil, "run",
			"golang.org/x/example/hello@v0.0.0-20250915201037-7f05d217867b")
		if code != 0 || stdout != "Hello, world!\n" {
			t.Errorf("exit code %d, stdout %q, stderr:\n%s", code, stdout, stderr)
		}
	})
}

// The service is in the image if, and only if, the program imports net.
func TestTailored(t *testing.T) {
	xtest.NeedKVM(t) // the tool builds without, but the images of this suite would not be used
	hasNetwork := func(pkg string) bool {
		img := filepath.Join(t.TempDir(), "img")
		if _, stderr, code := runIn(t, ".", nil, "build", "--ldflags=-s=false -w=false", "-o", img, pkg); code != 0 {
			t.Fatal(stderr)
		}
		f, err := elf.Open(img)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		syms, err := f.Symbols()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range syms {
			if strings.HasPrefix(s.Name, "Tailor/gvisor/") || strings.HasPrefix(s.Name, "Tailor/netstack") {
				return true
			}
		}
		return false
	}
	if hasNetwork("../../examples/hello") {
		t.Error("hello, which does not import net, has TCP/IP in its image")
	}
	if !hasNetwork("../../examples/website") {
		t.Error("website has no TCP/IP in its image; the check is broken")
	}
}

// The same program as a plain process.
func TestUnixTarget(t *testing.T) {
	run(t, "run", "-t", "unix", "../../examples/hello").want(t, 0, []string{"Hello, world!\n"}, nil)
	img := buildImage(t, "unix", guestPkg)
	run(t, "run", "-t", "unix", img, "exit", "5").want(t, 5, nil, nil)
}
