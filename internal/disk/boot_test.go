package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

const ovmf = "/usr/share/ovmf/OVMF.fd"

// A machine is how QEMU is called.
type machine struct {
	uefi   bool
	args   string // of QEMU, DISK is the file
	memory string
}

var (
	bios = machine{args: "-M q35 -drive file=DISK,format=raw,if=virtio", memory: "64M"}
	uefi = machine{args: "-M q35 -drive file=DISK,format=raw,if=virtio", memory: "128M", uefi: true}
)

// boot starts a disk and returns the lines on COM1 that are from the loader or
// the tests' kernel. It ends the machine when the loader or the kernel has ended.
func (m machine) boot(t *testing.T, disk string) []string {
	t.Helper()
	qemu := xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	args := strings.Fields(strings.ReplaceAll(m.args, "DISK", disk))
	args = append(args, "-m", m.memory, "-accel", "tcg", "-display", "none", "-serial", "stdio", "-nodefaults",
		"-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
	if m.uefi {
		xtest.NeedFile(t, "ovmf", ovmf, "ovmf")
		args = append(args, "-bios", ovmf)
	}
	// OVMF needs four seconds on an idle machine.
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines, all := read(bufio.NewScanner(out))
	cancel()
	if err := cmd.Wait(); ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if len(lines) == 0 {
		t.Fatalf("nothing of the loader's or the kernel's on COM1:\n%s", all)
	}
	return lines
}

// read reads up to the last line that is to be expected.
func read(s *bufio.Scanner) (lines []string, all string) {
	for s.Scan() {
		all += s.Text() + "\n"
		line := strings.TrimSuffix(s.Text(), "\r")
		if !strings.HasPrefix(line, "kernel: ") && !strings.HasPrefix(line, "tailor: ") {
			continue
		}
		lines = append(lines, line)
		if line == "kernel: end" || strings.HasPrefix(line, "tailor: error: ") {
			break
		}
	}
	return lines, all
}

// wantStarted fails unless the kernel has found everything in order.
func wantStarted(t *testing.T, lines []string, params string, sums [2]uint32) {
	t.Helper()
	wantText(t, strings.Join(lines, "\n")+"\n", "kernel: command line ["+params+"]\n", "kernel: rsdp ",
		fmt.Sprintf("kernel: sum %08x%08x\nkernel: end\n", sums[0], sums[1]))
	wantOneRange(t, lines)
}

// wantOneRange: the program's memory is a range of its own that begins at 1 MiB
// and is most of the machine's, and ranges ascend.
func wantOneRange(t *testing.T, lines []string) {
	t.Helper()
	last, main := uint64(0), uint64(0)
	for _, l := range lines {
		var addr, size uint64
		var kind uint32
		if n, _ := fmt.Sscanf(l, "kernel: memory %x %x %x", &addr, &size, &kind); n != 3 {
			continue
		}
		if addr < last {
			t.Errorf("%q overlaps or comes before what ends at %#x", l, last)
		}
		last = addr + size
		if addr == lowest && kind == 1 {
			main = size
		}
	}
	if main < 60<<20 {
		t.Errorf("%d bytes of memory from 1 MiB on:\n%s", main, strings.Join(lines, "\n"))
	}
}

// Nine megabytes of data: over the place at 8 MiB where OVMF has holes.
func bootImage(t *testing.T) ([]byte, [2]uint32) { return testImage(t, 9<<20, 3<<20) }

func TestBootBIOS(t *testing.T) {
	image, sums := bootImage(t)
	for _, c := range []struct{ name, format, args string }{
		{"q35 virtio", Raw, "-M q35 -drive file=DISK,format=raw,if=virtio"},
		{"q35 ahci", Raw, "-M q35 -drive file=DISK,format=raw,if=none,id=d -device ide-hd,drive=d"},
		{"pc ide", QCOW2, "-M pc -drive file=DISK,format=qcow2,if=ide"},
		{"pc scsi", QCOW2, "-M pc -device virtio-scsi-pci -drive file=DISK,format=qcow2,if=none,id=d -device scsi-hd,drive=d"},
		{"q35 nvme", Raw, "-M q35 -drive file=DISK,format=raw,if=none,id=d -device nvme,drive=d,serial=1"},
		{"q35 usb", ISO, "-M q35 -device qemu-xhci -drive file=DISK,format=raw,if=none,id=d -device usb-storage,drive=d"},
		{"q35 cd", ISO, "-M q35 -cdrom DISK"},
		{"pc cd", ISO, "-M pc -cdrom DISK"},
		{"q35 iso as disk", ISO, "-M q35 -drive file=DISK,format=raw,if=virtio"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine{args: c.args, memory: "64M"}
			wantStarted(t, m.boot(t, writeFile(t, c.format, image, testParams)), testParams, sums)
		})
	}
}

func TestBootUEFI(t *testing.T) {
	if testing.Short() {
		t.Skip("OVMF takes seconds")
	}
	image, sums := bootImage(t)
	for _, c := range []struct{ name, format, args, memory string }{
		{"q35 virtio", Raw, "-M q35 -drive file=DISK,format=raw,if=virtio", "128M"},
		{"q35 cd", ISO, "-M q35 -cdrom DISK", "128M"},
		{"q35 iso as disk", ISO, "-M q35 -device qemu-xhci -drive file=DISK,format=raw,if=none,id=d -device usb-storage,drive=d", "128M"},
		{"pc ide", QCOW2, "-M pc -drive file=DISK,format=qcow2,if=ide", "5G"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machine{args: c.args, memory: c.memory, uefi: true}
			wantStarted(t, m.boot(t, writeFile(t, c.format, image, testParams)), testParams, sums)
		})
	}
}

// A program of which El Torito cannot say how long the partition is, and whose
// partition needs larger clusters.
func TestBootLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("OVMF takes seconds")
	}
	image, sums := testImage(t, 140<<20, 0)
	iso := writeFile(t, ISO, image, testParams)
	edit(t, iso, testParams)
	for _, m := range []machine{
		{args: "-M q35 -cdrom DISK", memory: "256M"},
		{args: "-M q35 -cdrom DISK", memory: "768M", uefi: true},
	} {
		wantStarted(t, m.boot(t, iso), testParams, sums)
	}
}

// edit writes another TAILOR.TXT to a disk, as a user would.
func edit(t *testing.T, disk, text string) {
	t.Helper()
	cmd := exec.Command(xtest.NeedCommand(t, "mcopy", "mtools"), "-o", "-i", disk+"@@1M", "-", "::TAILOR.TXT")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
}

// The command line can be changed without a build: also to one of many clusters,
// of several lines, or none.
func TestEditedParams(t *testing.T) {
	long := strings.Repeat("a", 5000) + " b=\"" + strings.Repeat("c", 5000) + "\""
	image, sums := testImage(t, 4096, 4096)
	for _, c := range []struct{ name, text, want string }{
		{"long", long, long},
		{"lines", "a=1\r\nb=2 \n\n-- c\n\n", "a=1  b=2   -- c"},
		{"empty", "", ""},
		{"end of a DOS text", "a=1\x1agarbage", "a=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := writeFile(t, Raw, image, testParams)
			edit(t, disk, c.text)
			wantStarted(t, bios.boot(t, disk), c.want, sums)
			if c.name == "long" && !testing.Short() {
				wantStarted(t, uefi.boot(t, disk), c.want, sums)
			}
		})
	}
	t.Run("no file", func(t *testing.T) {
		disk := writeFile(t, Raw, image, testParams)
		tool(t, "mtools", "mdel", "-i", disk+"@@1M", "::TAILOR.TXT")
		wantStarted(t, bios.boot(t, disk), "", sums)
	})
}

// What is wrong with a disk or a machine is said in one line on COM1.
func TestBootErrors(t *testing.T) {
	image, _ := testImage(t, 3<<20, 0)
	huge, _ := testImage(t, 4096, 1<<30)
	damage := func(t *testing.T, disk string) {
		b, err := os.ReadFile(disk)
		if err == nil {
			b[3<<20] ^= 1
			err = os.WriteFile(disk, b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	truncate := func(t *testing.T, disk string) {
		if err := os.Truncate(disk, 3<<20); err != nil {
			t.Fatal(err)
		}
	}
	const broken = "-M q35 -drive if=virtio,driver=raw,file.driver=blkdebug,file.image.driver=file,file.image.filename=DISK," +
		"file.inject-error.0.event=read_aio,file.inject-error.0.sector=36"
	overlong := func(t *testing.T, disk string) { edit(t, disk, strings.Repeat("x", 16385)) }
	for _, c := range []struct {
		name  string
		on    machine
		image []byte
		spoil func(*testing.T, string)
		want  string
	}{
		{"damaged", bios, image, damage, "tailor: error: the program on the disk is damaged: wrong checksum"},
		{"truncated", bios, image, truncate, "tailor: error: the BIOS cannot read the disk at block 1"},
		{"unreadable", machine{args: broken, memory: "64M"}, image, nil, "tailor: error: the BIOS cannot read the disk's first sectors"},
		{"no second stage", bios, image, func(t *testing.T, disk string) {
			b, _ := os.ReadFile(disk)
			clear(b[18432:20480])
			os.WriteFile(disk, b, 0o666)
		}, "tailor: error: no second stage at sector 36 of the disk"},
		{"little memory", bios, huge, nil, "tailor: error: too little memory: the program needs at least 1026 MiB"},
		{"long parameters", bios, image, overlong, "tailor: error: TAILOR.TXT has more than 16384 bytes"},
		{"uefi damaged", uefi, image, damage, "tailor: error: the program in BOOTX64.EFI is damaged: wrong checksum"},
		{"uefi little memory", uefi, huge, nil, "tailor: error: too little memory, or not in one piece: the program needs at least 1026 MiB"},
		{"uefi long parameters", uefi, image, overlong, "tailor: error: TAILOR.TXT has more than 16384 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.on.uefi && testing.Short() {
				t.Skip("OVMF takes seconds")
			}
			disk := writeFile(t, Raw, c.image, testParams)
			if c.spoil != nil {
				c.spoil(t, disk)
			}
			lines := c.on.boot(t, disk)
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, c.want) {
				t.Errorf("got %q, want %q", lines, c.want)
			}
		})
	}
}
