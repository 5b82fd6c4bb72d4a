// Package virtio has tests of images of target virtio on QEMU's devices: each
// transport, and devices that offer less than the best.
package virtio

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

const (
	website = "../../examples/website"
	hello   = "../../examples/hello"
)

// qemu starts an image on a machine without KVM; its serial port is the standard
// output.
func qemu(t testing.TB, image, machine, line string, args ...string) *vmtest.Proc {
	t.Helper()
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	args = append([]string{
		"-M", machine, "-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none", "-serial", "stdio",
		"-kernel", vmtest.Image(t, "virtio", image), "-append", line,
	}, args...)
	return vmtest.Setting{}.Exec(t, path, args...)
}

// netdev returns the flags for QEMU's user-mode network with a published port.
func netdev(addr string) []string {
	return []string{"-netdev", "user,id=n,hostfwd=tcp:" + addr + "-:80"}
}

// modern makes QEMU's virtio-mmio devices speak version 2.
var modern = []string{"-global", "virtio-mmio.force-legacy=false"}

// bare are the properties of a device that offers nothing.
const bare = ",csum=off,guest_csum=off,gso=off,guest_tso4=off,guest_tso6=off,host_tso4=off,host_tso6=off,mrg_rxbuf=off,event_idx=off"

func TestHTTP(t *testing.T) {
	for name, tc := range map[string]struct {
		machine, device string
		more            []string
	}{
		"microvm by ACPI":           {"microvm", "virtio-net-device", modern},
		"microvm, one I/O APIC":     {"microvm,ioapic2=off", "virtio-net-device", modern},
		"microvm by parameters":     {"microvm,acpi=off", "virtio-net-device", modern},
		"microvm, bare":             {"microvm", "virtio-net-device" + bare, modern},
		"q35":                       {"q35", "virtio-net-pci", nil},
		"q35, transitional":         {"q35", "virtio-net-pci,disable-legacy=off", nil},
		"q35, behind a bridge":      {"q35", "virtio-net-pci,bus=rp", []string{"-device", "pcie-root-port,id=rp"}},
		"q35, without EVENT_IDX":    {"q35", "virtio-net-pci,event_idx=off", nil},
		"q35, bare":                 {"q35", "virtio-net-pci" + bare, nil},
		"pc":                        {"pc", "virtio-net-pci", nil},
		"microvm with everything":   {"microvm", "virtio-net-device", append([]string{"-device", "virtio-rng-device", "-device", "virtio-balloon-device"}, modern...)},
		"q35 with two and unknowns": {"q35", "virtio-net-pci,addr=3", []string{"-device", "virtio-rng-pci,addr=4", "-device", "virtio-balloon-pci,addr=2", "-device", "virtio-net-pci,addr=5"}},
	} {
		t.Run(name, func(t *testing.T) {
			addr := vmtest.FreePort(t, "tcp")
			args := append(netdev(addr), tc.more...)
			p := qemu(t, website, tc.machine, "ip=10.0.2.15/24 gw=10.0.2.2", append(args, "-device", tc.device+",netdev=n")...)
			if !p.Out.Await("listening on") {
				t.Fatalf("ended:\n%s%s", p.Out, p.ErrOut)
			}
			for range 20 {
				get(t, addr)
			}
		})
	}
}

// get asks for the home page, over a connection of its own.
func get(t *testing.T, addr string) {
	t.Helper()
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(body) == 0 {
		t.Errorf("%s, %d bytes, %v", resp.Status, len(body), err)
	}
}

// A device that cannot be used is said in one line, and the program runs.
func TestSaid(t *testing.T) {
	user := []string{"-netdev", "user,id=n"}
	for name, tc := range map[string]struct {
		machine, line string
		args          []string
		want          string
	}{
		"legacy":     {"microvm", "ip=10.0.2.15/24", append(user, "-device", "virtio-net-device,netdev=n"), "version 2 is needed (QEMU: -global virtio-mmio.force-legacy=false)"},
		"no device":  {"microvm", "ip=10.0.2.15/24", nil, "tailor: network: the machine has no network device"},
		"no IPv6":    {"microvm", "ip=none ip6=fd00::2/64", nil, "or none that can be used, for the address given by ip6="},
		"no address": {"q35", "", append(user, "-device", "virtio-net-pci,netdev=n"), "tailor: network: eth0 has its address: 10.0.2.15/24 by DHCP from 10.0.2.2"},
		"no MSI-X":   {"q35", "ip=10.0.2.15/24", append(user, "-device", "virtio-net-pci,netdev=n,vectors=0"), "tailor: PCI device 00:01.0 lacks"},
		"PCI legacy": {"pc", "ip=10.0.2.15/24", append(user, "-device", "virtio-net-pci,netdev=n,disable-modern=on,disable-legacy=off"), "lacks a capability of virtio 1.0"},
		"unknown":    {"q35", "verbose=1", []string{"-device", "virtio-balloon-pci"}, "is of virtio type 5, for which there is no driver"},
		"not there":  {"microvm", "virtio_mmio.device=512@0xfd000000:5", nil, "virtio-mmio device at 0xfd000000 is no virtio device"},
	} {
		t.Run(name, func(t *testing.T) {
			p := qemu(t, website, tc.machine, tc.line, tc.args...)
			if !p.Out.Await(tc.want) {
				t.Fatalf("ended without saying %q:\n%s%s", tc.want, p.Out, p.ErrOut)
			}
			if !p.Out.Await("listening on") {
				t.Errorf("the program does not run:\n%s%s", p.Out, p.ErrOut)
			}
		})
	}
}

// A malformed boot parameter ends the boot, with its name.
func TestMalformed(t *testing.T) {
	p := qemu(t, hello, "microvm", "virtio_mmio.device=512@nowhere:5")
	p.Wait()
	for _, want := range []string{
		"virtio_mmio.device=512@nowhere:5 is not of the form SIZE@ADDRESS:IRQ",
		"tailor: the program ended with exit code 125",
	} {
		if !strings.Contains(p.Out.String(), want) {
			t.Errorf("no %q in:\n%s%s", want, p.Out, p.ErrOut)
		}
	}
	if strings.Contains(p.Out.String(), "Hello") {
		t.Error("the program runs")
	}
}

// A program's end switches the machine off: without it, QEMU would go on.
func TestPowerOff(t *testing.T) {
	for _, machine := range []string{"microvm", "microvm,ioapic2=off", "q35", "pc"} {
		t.Run(machine, func(t *testing.T) {
			qemu(t, hello, machine, "").Wait().Want(t, 0, []string{"Hello, world!"}, nil)
		})
	}
}

// The console device is standard output, the serial port is silent.
func TestConsole(t *testing.T) {
	for machine, device := range map[string]string{"microvm": "virtio-serial-device", "q35": "virtio-serial-pci"} {
		t.Run(machine, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "out")
			r := qemu(t, hello, machine, "", append(modern, "-device", device,
				"-chardev", "file,id=c,path="+file, "-device", "virtconsole,chardev=c")...).Wait()
			out, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(out), "Hello, world!") || strings.Contains(r.Stdout, "Hello") {
				t.Errorf("%v, console %q, serial %q", err, out, r.Stdout)
			}
		})
	}
}
