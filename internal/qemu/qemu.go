// Package qemu runs images of target virtio under QEMU: it finds the program,
// chooses its accelerator, lays out the machine, and stands between the guest
// and the tool's own standard input, output, signals and exit code.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
)

// Program is the name of QEMU's program for this architecture.
const Program = "qemu-system-x86_64"

// Machines lists the machine types that can be asked for, the fastest first.
var Machines = []string{"microvm", "q35", "pc"}

// ParseMachine checks the name of a machine type.
func ParseMachine(s string) (string, error) {
	if !slices.Contains(Machines, s) {
		return "", hint.Errorf("machines are: "+strings.Join(Machines, ", "), "unknown machine %q", s)
	}
	return s, nil
}

// Find returns the path of QEMU's program. The error has a remedy.
func Find() (string, error) {
	path, err := exec.LookPath(Program)
	if err != nil {
		return "", hint.Errorf("sudo apt-get install qemu-system-x86 (Fedora: sudo dnf install qemu-system-x86-core)", "no %s in PATH", Program)
	}
	return path, nil
}

// versionTimeout bounds how long QEMU may take to tell its version.
const versionTimeout = 10 * time.Second

// Version asks the program at path for its version, such as "7.2.22".
func Version(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "-version").Output()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w", path, err)
	}
	version, ok := parseVersion(string(out))
	if !ok {
		return "", fmt.Errorf("%s -version: no version in what it says", path)
	}
	return version, nil
}

// parseVersion reads "QEMU emulator version 7.2.22 (Debian ...)".
func parseVersion(out string) (string, bool) {
	_, rest, ok := strings.Cut(out, "QEMU emulator version ")
	words := strings.Fields(rest)
	if !ok || len(words) == 0 || words[0][0] < '0' || words[0][0] > '9' {
		return "", false
	}
	return words[0], true
}

// maxCmdLine is how long a command line may be, in bytes. PC machines pass it
// through an option ROM of QEMU's, which has 4 KiB for it; to microvm's QEMU adds
// the devices.
func maxCmdLine(machine string) int {
	if machine == "microvm" {
		return abi.MaxCmdLine - 1<<10
	}
	return 4<<10 - 1
}

func checkCmdLine(machine, line string) error {
	limit := maxCmdLine(machine)
	switch {
	case len(line) > limit && machine != "microvm":
		return hint.Errorf("use --machine microvm, which has room for more",
			"arguments, environment and boot parameters of %d bytes: QEMU passes at most %d to a machine %s", len(line), limit, machine)
	case len(line) > limit:
		return fmt.Errorf("arguments, environment and boot parameters of %d bytes do not fit (at most %d)", len(line), limit)
	case strings.ContainsRune(line, 0):
		return errors.New("an argument or a variable of the environment has a NUL byte")
	}
	return nil
}
