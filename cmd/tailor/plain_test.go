package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

// plainWorks are the flags that a plain process has a use for. Another flag of run or
// build must be refused with -t unix: see plainRefused.
var plainWorks = strings.Fields(`target tags ldflags log resolver verbose dry-run
	env param metrics dns-tls syslog disk
	output json verify`)

// plainRefused are the others, each with a value, and what the error says.
var plainRefused = map[string][2]string{
	"publish":       {"80:80", "-p 80:80 is for the targets hvt, spt and qemu"},
	"memory":        {"64M", "-m 64M is for the targets hvt, spt and qemu"},
	"net":           {"user", "--net user is for the targets hvt, spt and qemu"},
	"ip":            {"192.0.2.5/24", "--ip and --gateway need --net tap:NAME"},
	"gateway":       {"192.0.2.1", "--ip and --gateway need --net tap:NAME"},
	"dns":           {"192.0.2.1", "has the host's own network"},
	"stall-warning": {"1s", "--stall-warning is for the targets hvt, spt and qemu"},
	"machine":       {"q35", "--machine q35 is one of QEMU"},
	"volume":        {"a=/f:/a", "has the host's own files"},
	"partition":     {"a=1", "has the host's own files"},
	"secret":        {"a=/f", "has the host's own files"},
	"key-file":      {"a=/f", "has the host's own files"},
	"ntp":           {"192.0.2.1", "the clock of a plain process (target unix) is the host's"},
	"file":          {"/dev/null:/f", "carries no files"},
	"dhcp":          {"", "--dhcp is for the targets hvt, spt and virtio"},
	"luks":          {"", "--luks is for the targets hvt, spt and virtio"},
	"trace":         {"syscalls", "--trace syscalls shows the calls that a virtual machine's program makes"},
	"format":        {"raw", "--format raw is for the target virtio, this is unix"},
	"params":        {"quiet", "--params is for disks"},
	"needs":         {"data", "--needs data is for the targets hvt, spt and virtio"},
	"volumes":       {"", "--volumes is for the targets hvt, spt and virtio"},
	"disk":          {"data", "--disk data is for the targets hvt, spt and virtio"}, // of build
	"disks":         {"", "--disks is for the targets hvt, spt and virtio"},
}

// No flag of run and build is ignored with -t unix.
func TestPlainFlags(t *testing.T) {
	a := &app{stdout: io.Discard, msg: cli.NewPrinter("tailor", io.Discard), dir: t.TempDir()}
	for _, name := range []string{"run", "build"} {
		for _, f := range findVerb(name).flags {
			if slices.Contains(plainWorks, f.Long) && (f.Long != "disk" || name == "run") {
				continue
			}
			value, want := plainRefused[f.Long][0], plainRefused[f.Long][1]
			if want == "" {
				t.Errorf("%s --%s: is it ignored with -t unix?", name, f.Long)
				continue
			}
			args := []string{"-t", "unix", "-n", "--" + f.Long}
			if f.Value != "" {
				args = append(args, value)
			}
			v := findVerb(name)
			rest, err := v.parse(append(args, "./none"))
			if err == nil {
				_, err = v.run(context.Background(), a, rest)
			}
			if err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
				t.Errorf("%s --%s %s: %v (hint: %s), want %q", name, f.Long, value, err, hint.Of(err), want)
			}
		}
	}
}
