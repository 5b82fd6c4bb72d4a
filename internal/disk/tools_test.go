package disk

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

const testParams = `ip=10.0.2.15/24 gw=10.0.2.2 -- -flag "a b"`

// writeFile returns the name of a file with a disk.
func writeFile(t testing.TB, format string, image []byte, params string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk."+format)
	if err := os.WriteFile(name, write(t, format, image, params), 0o666); err != nil {
		t.Fatal(err)
	}
	return name
}

// tool runs a command of somebody else's, which Debian's package pkg holds, and
// returns what it says. Whether it is content is its exit code.
func tool(t testing.TB, pkg, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(xtest.NeedCommand(t, name, pkg), args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// wantText fails unless all lines are in text.
func wantText(t testing.TB, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, l) {
			t.Errorf("no %q in:\n%s", l, text)
		}
	}
}

// The same input gives the same bytes, another command line others, and a
// disk's size is whole megabytes.
func TestDeterminism(t *testing.T) {
	image, _ := testImage(t, 100_000, 0)
	for _, format := range Formats {
		a, b := write(t, format, image, testParams), write(t, format, bytes.Clone(image), testParams)
		if !bytes.Equal(a, b) {
			t.Errorf("two disks of the format %s differ", format)
		}
		if bytes.Equal(a, write(t, format, image, "")) {
			t.Errorf("%s: the parameters make no difference", format)
		}
		if format != QCOW2 && len(a)%mib != 0 {
			t.Errorf("%s has %d bytes", format, len(a))
		}
	}
}

// A file has the same bytes as a stream, and takes less room.
func TestSparseFile(t *testing.T) {
	image, _ := testImage(t, 4096, 0)
	f, err := os.Create(filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := Write(f, Raw, image, testParams); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, write(t, Raw, image, testParams)) {
		t.Error("the file differs from the stream")
	}
	if info, err := f.Stat(); err != nil || info.Sys().(*syscall.Stat_t).Blocks*512 > info.Size()/2 {
		t.Errorf("not sparse: %v, %v", info, err)
	}
}

// Sizes at which the file system's own sizes change.
func TestSizes(t *testing.T) {
	for _, n := range []uint32{4, 9 << 20, 140 << 20} {
		image, _ := testImage(t, n, 0)
		disk := writeFile(t, Raw, image, testParams)
		tool(t, "gdisk", "sgdisk", "--verify", disk)
		checkFAT(t, disk, n)
	}
}

// checkFAT reads the EFI system partition with other programs.
func checkFAT(t *testing.T, disk string, dataBytes uint32) {
	t.Helper()
	whole, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	esp := filepath.Join(t.TempDir(), "esp")
	if err := os.WriteFile(esp, whole[espOffset:], 0o666); err != nil {
		t.Fatal(err)
	}
	tool(t, "dosfstools", "fsck.fat", "-n", "-V", esp)
	if got := tool(t, "mtools", "mtype", "-i", esp, "::TAILOR.TXT"); got != testParams+"\n" {
		t.Errorf("TAILOR.TXT is %q", got)
	}
	efi := filepath.Join(t.TempDir(), "efi")
	tool(t, "mtools", "mcopy", "-i", esp, "::EFI/BOOT/BOOTX64.EFI", efi)
	if info, err := os.Stat(efi); err != nil || info.Size() < int64(dataBytes) {
		t.Errorf("BOOTX64.EFI: %v, %v", info, err)
	}
}

func TestGPT(t *testing.T) {
	image, _ := testImage(t, 4096, 0)
	for _, format := range []string{Raw, ISO} {
		disk := writeFile(t, format, image, testParams)
		wantText(t, tool(t, "gdisk", "sgdisk", "--verify", disk), "No problems found")
		wantText(t, tool(t, "gdisk", "sgdisk", "--info=1", disk), "EFI system partition", "First sector: 2048 ", "'Tailor'")
	}
}

func TestQCOW2(t *testing.T) {
	image, _ := testImage(t, 3<<20, 0)
	raw, qcow2 := writeFile(t, Raw, image, testParams), writeFile(t, QCOW2, image, testParams)
	wantText(t, tool(t, "qemu-utils", "qemu-img", "check", "-f", "qcow2", qcow2), "No errors were found")
	wantText(t, tool(t, "qemu-utils", "qemu-img", "compare", "-f", "raw", "-F", "qcow2", raw, qcow2), "identical")
	a, _ := os.Stat(raw)
	b, _ := os.Stat(qcow2)
	if b.Size() > a.Size()/2 {
		t.Errorf("%d bytes of qcow2 for %d bytes: zeros are kept", b.Size(), a.Size())
	}
}

func TestISO(t *testing.T) {
	image, _ := testImage(t, 4096, 0)
	iso := writeFile(t, ISO, image, testParams)
	wantText(t, tool(t, "xorriso", "xorriso", "-indev", iso, "-report_el_torito", "plain", "-lsl", "/"),
		"Volume id    : 'TAILOR'", "El Torito boot img :   1  BIOS  y   none", "El Torito boot img :   2  UEFI  y   none", "TAILOR.TXT", "EFI.IMG")
	out := filepath.Join(t.TempDir(), "text")
	tool(t, "xorriso", "xorriso", "-osirrox", "on", "-indev", iso, "-extract", "/TAILOR.TXT", out)
	if got, err := os.ReadFile(out); err != nil || string(got) != testParams+"\n" {
		t.Errorf("TAILOR.TXT is %q, %v", got, err)
	}
}
