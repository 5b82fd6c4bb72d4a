package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// testMemory is the memory of a test's virtual machine in bytes without -m. The
// host gives only what the guest touches.
const testMemory = 1 << 30

// reportVar names the file in which exec tells test about failures that are not
// the test's own. It is set by test, and passed on to no guest.
const reportVar = "TAILOR_TEST_REPORT"

// execOptions are the flags of exec.
type execOptions struct {
	memory  uint64 // bytes, 0 if not given
	net     cli.Net
	verbose bool
}

func execVerb() *verb {
	var o execOptions
	return &verb{
		name:    "exec",
		args:    "[FLAGS] BINARY [ARGUMENTS]",
		summary: "run a test binary, for go test -exec and go run -exec",
		about: `Exec runs a binary of the go command's in a virtual machine with the caller's
arguments, environment and folder, and exits with its code. A binary that
tailor test made is started as it is; of any other one, the same package is
built once more as an image. tailor test is faster, and caches results.`,
		flags: []cli.Flag{
			cli.ValueFlag(&o.memory, "memory", 'm', "SIZE", "memory of the guest (default 1G; only what is used\nis taken)", cli.ParseSize),
			cli.ValueFlag(&o.net, "net", 0, "KIND", "user (default: behind this host, no privileges) or none", cli.ParseNet),
			cli.BoolFlag(&o.verbose, "verbose", 'v', "say what the guest asks for and has not"),
		},
		examples: `  go test -exec "tailor exec" ./...
  tailor test -c -o my.test ./pkg && tailor exec my.test -test.v
`,
		stop: true,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			exit, err := a.exec(ctx, o, args)
			report(err)
			return exit, err
		},
	}
}

// report tells tailor test about an error.
func report(err error) {
	file := os.Getenv(reportVar)
	if err == nil || file == "" {
		return
	}
	f, ferr := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if ferr != nil {
		return // exit code and message remain
	}
	defer f.Close()
	fmt.Fprintln(f, strings.ReplaceAll(err.Error(), "\n", " "))
}

func (a *app) exec(ctx context.Context, o execOptions, args []string) (int, error) {
	if len(args) == 0 {
		return 0, hint.Errorf("see: tailor help exec", "nothing to run: no binary given")
	}
	if o.net.Kind == "tap" {
		return 0, hint.Errorf("use tailor run for it", "--net tap:%s: tests that run at the same time cannot share a tap", o.net.Tap)
	}
	if err := checkVM(); err != nil {
		return 0, err
	}
	img, err := image.OpenTest(args[0])
	if err != nil {
		return 0, notATest(err)
	}
	defer img.Close()
	if o.memory == 0 {
		o.memory = testMemory
	}
	return startVM(ctx, vmConfig{
		Image: img, Path: args[0], Args: args[1:], Env: guestEnv(os.Environ()), Memory: o.memory,
		Verbose: o.verbose, Net: o.net, Log: a.msg,
	})
}

// notATest explains a binary that is no image.
func notATest(err error) error {
	if errors.Is(err, image.NoNote) {
		return hint.With(err, "run the tests with: tailor test")
	}
	return err
}

// guestEnv is the environment without what is between tailor's own processes.
func guestEnv(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return strings.HasPrefix(kv, reportVar+"=") })
}

// selfPath returns this tool's path as it was started: by a test of the tool it
// is known by its name only.
func selfPath() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	if path, err := findTool(os.Args[0]); err == nil && sameFile(path, exe) {
		return path, nil
	}
	return exe, nil
}

// toolID tells builds of this tool apart.
func toolID(path string) ([16]byte, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return [16]byte{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return hash16(fmt.Sprint(st.Size, st.Mtim, toolVersion())), nil
}
