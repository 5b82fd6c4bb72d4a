package virtio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// Boot parameters that tailor run would not write: disks without names are found by
// those that Linux has for them, and what cannot be ends the boot with the reason.
func TestDisks(t *testing.T) {
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	dir := t.TempDir()
	img := filepath.Join(dir, "disks.img")
	if out, err := exec.Command(vmtest.Tool(t), "build", "-t", "virtio", "--disks", "--luks", "-o", img, "../e2e/testdata/diskguest").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var drives []string
	for i, serial := range []string{"", ",serial=data"} {
		file := filepath.Join(dir, fmt.Sprint("disk", i))
		if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
			t.Fatal(err)
		}
		drives = append(drives, "-drive", fmt.Sprintf("if=none,format=raw,id=d%d,file=%s", i, file), "-device", fmt.Sprintf("virtio-blk-pci,addr=%d,drive=d%d%s", 4+i, i, serial))
	}
	for line, want := range map[string]string{
		"disk=vda disk=data -- info":    "names data vda\n",
		"disk=vda:ro disk=data -- info": "vda 1048576 512 true\n",
		"disk=vdb -- info":              "disk vdb: there is no block device of that name; there are: vda data\n",
		"disk=vda disk=vda:ro -- info":  "disk vda: its device is in use as vda already: ask for it once, or with :ro each time\n",
		"volume=vda:/data:rw -- info":   "the program was built without what mounts volumes; rebuild it with: tailor build --volumes\n",
		"disk=vda:ro disk=vda:ro -- in": "disk vda: cannot be shown as /dev/disk/by-id/virtio-vda: file exists\n",
	} {
		args := append([]string{
			"-M", "q35", "-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", img, "-append", line,
		}, drives...)
		r := vmtest.Setting{}.Exec(t, path, args...).Wait()
		if out := strings.ReplaceAll(r.Stdout, "\r", ""); !strings.Contains(out, want) || strings.Contains(out, "goroutine ") {
			t.Errorf("%s: no %q in:\n%s%s", line, want, out, r.Stderr)
		}
	}
}

// A program does not run without its data because it was built to have none.
func TestNoBlocks(t *testing.T) {
	for line, want := range map[string]string{
		"disk=data":            "disk=data: the program was built without what shows disks; rebuild it with: tailor build --disks",
		"volume=data:/data:rw": "volume=data:/data:rw: the program was built without what mounts volumes; rebuild it with: tailor build --volumes",
	} {
		r := qemu(t, hello, "microvm", line).Wait()
		if !strings.Contains(r.Stdout, want) || strings.Contains(r.Stdout, "Hello") {
			t.Errorf("%s: no %q in:\n%s%s", line, want, r.Stdout, r.Stderr)
		}
	}
}

// Of two volumes at one path one would hide the other.
func TestVolumesAtOnePath(t *testing.T) {
	path := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	img := filepath.Join(t.TempDir(), "volumes.img")
	if out, err := exec.Command(vmtest.Tool(t), "build", "-t", "virtio", "--volumes", "-o", img, hello).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := vmtest.Setting{}.Exec(t, path, "-M", "microvm", "-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none",
		"-serial", "stdio", "-kernel", img, "-append", "volume=a:/data:ro volume=b:/data/.:ro").Wait()
	if want := "volumes a and b are both to be at /data"; !strings.Contains(r.Stdout, want) || strings.Contains(r.Stdout, "Hello") {
		t.Errorf("no %q in:\n%s%s", want, r.Stdout, r.Stderr)
	}
}
