package e2e

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

const ovmf = "/usr/share/ovmf/OVMF.fd"

// buildDisk builds a disk of an example.
func buildDisk(t *testing.T, format, params, example string) string {
	t.Helper()
	disk := filepath.Join(t.TempDir(), example+"."+format)
	p := vmtest.Setting{Limit: 2 * time.Minute}.Start(t, "build", "-t", "virtio", "--format", format, "--params", params, "-o", disk, "../../examples/"+example)
	if r := p.Wait(); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	return disk
}

// bootDisk starts QEMU with a disk, given by its arguments, waits until the
// program has printed text, and asks it for a page if url is not empty.
func bootDisk(t *testing.T, disk, args, text, url string) {
	t.Helper()
	qemu := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	args += " -accel tcg -display none -nodefaults -serial stdio -no-reboot"
	p := vmtest.Setting{Limit: 90 * time.Second}.Exec(t, qemu, strings.Fields(strings.ReplaceAll(args, "DISK", disk))...)
	if !p.Out.Await(text) {
		t.Errorf("no %q:\n%s%s", text, p.Out.String(), p.ErrOut.String())
	} else if url != "" {
		// QEMU's network takes the connection at once and keeps it for the guest.
		c := http.Client{Timeout: 30 * time.Second}
		r, err := c.Get(url)
		if err == nil {
			r.Body.Close()
		}
		if err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %v, %v", url, r, err)
		}
	}
	p.Cmd.Process.Kill()
	<-p.Done
}

// Programs start from a disk alone, by BIOS and by UEFI, with the arguments that
// the disk has. UEFI leaves memory behind that is not zero, which a program with
// a larger heap must not see.
func TestDisks(t *testing.T) {
	xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	hello := buildDisk(t, "iso", "", "hello")
	website := buildDisk(t, "qcow2", "ip=10.0.2.15/24 gw=10.0.2.2 -- -addr :8123", "website")
	addr := vmtest.FreePort(t, "tcp")
	url := "http://" + addr
	qcow2 := "-drive file=DISK,format=qcow2,if=virtio -cpu max -netdev user,id=n,hostfwd=tcp:" + addr + "-:8123 -device virtio-net-pci,netdev=n,romfile="
	t.Run("BIOS", func(t *testing.T) {
		bootDisk(t, hello, "-M q35 -m 32M -cdrom DISK", "Hello, world!", "")
		bootDisk(t, website, "-M pc -m 64M "+qcow2, "listening on http://[::]:8123", url)
	})
	t.Run("UEFI", func(t *testing.T) {
		if testing.Short() {
			t.Skip("OVMF takes seconds")
		}
		xtest.NeedFile(t, "ovmf", ovmf, "ovmf")
		bootDisk(t, hello, "-M q35 -m 128M -bios "+ovmf+" -cdrom DISK", "Hello, world!", "")
		bootDisk(t, website, "-M q35 -m 128M -bios "+ovmf+" "+qcow2, "listening on http://[::]:8123", url)
	})
}

// The same program and parameters make the same disk.
func TestDiskIsReproducible(t *testing.T) {
	var disks [2][]byte
	for i := range disks {
		b, err := os.ReadFile(buildDisk(t, "raw", "-- a", "hello"))
		if err != nil {
			t.Fatal(err)
		}
		disks[i] = b
	}
	if !bytes.Equal(disks[0], disks[1]) {
		t.Error("two builds differ")
	}
}
