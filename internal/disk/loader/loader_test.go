package loader

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

var update = flag.Bool("update", false, "assemble the committed code anew")

// TestAssemble: the committed machine code is what nasm makes of the source, that
// of the tests' program as well.
func TestAssemble(t *testing.T) {
	nasm := xtest.NeedCommand(t, "nasm", "nasm")
	for _, name := range []string{"mbr", "bios", "uefi", "../testdata/kernel"} {
		out := filepath.Join(t.TempDir(), "out.bin")
		cmd := exec.Command(nasm, "-w+error", "-f", "bin", "-I", "./", "-o", out, name+".asm")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		code, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			err = os.WriteFile(name+".bin", code, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
		committed, err := os.ReadFile(name + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(code, committed) {
			t.Errorf("%s.bin is not what %s.asm says; run: go test ./internal/disk/loader -update", name, name)
		}
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name       string
		have, want int
	}{
		{"boot sector", len(MBR()), MBRBytes},
		{"second stage", len(BIOS(Program{}, Disk{})), Stage2Sectors * 512},
		{"UEFI code", len(UEFI(Program{}, 0)), DataRVA - TextRVA},
	} {
		if c.have != c.want {
			t.Errorf("%s has %d bytes, want %d", c.name, c.have, c.want)
		}
	}
}

func TestSums(t *testing.T) {
	if got, want := Sums([]byte{1, 0, 0, 0, 2, 0, 0, 0, 255, 255, 255, 255}), [2]uint32{2, 1 + 3 + 2}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if Sums([]byte{1, 0, 0, 0, 2, 0, 0, 0}) == Sums([]byte{2, 0, 0, 0, 1, 0, 0, 0}) {
		t.Error("two words exchanged have the same sums")
	}
}
