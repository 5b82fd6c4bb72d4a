package ring0

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/xtest"
)

var update = flag.Bool("update", false, "assemble the committed code anew")

// include is the text of abi.inc.
func include() string {
	var (
		boot     abi.BootInfo
		platform abi.Platform
		control  abi.Control
		b        strings.Builder
	)
	for _, c := range []struct {
		name  string
		value uint64
	}{
		{"STUB", BootAddr}, {"HEADER_END", headerEnd}, {"MAX_STUB", maxStub}, {"MEMORY_LIMIT", MemoryLimit},
		{"RESIDENT", residentAt}, {"R_ENTER", slotEnter}, {"R_MAP", slotMap},
		{"R_ROOT", dataAt}, {"R_NEXT", dataAt + 8}, {"R_LIMIT", dataAt + 16}, {"R_RAM_END", dataAt + 24},
		{"R_SEALED", dataAt + 32},
		{"GDT", GDTAddr}, {"GDT_SIZE", GDTSize}, {"IDT", IDTAddr}, {"IO_BITMAP", ioBitmap},
		{"TRAP_STACK_HIGH", TrapStackHigh}, {"SYSCALL_ENTRY", uint64(virtioStubs().syscall)}, {"FLAGS_OFF", flagsOff},
		{"SEL_KERNEL_CODE", SelKernelCode}, {"SEL_KERNEL_DATA", SelKernelData},
		{"SEL_USER_CODE", SelUserCode}, {"SEL_USER_DATA", SelUserData}, {"SEL_TSS", SelTSS},
		{"PTE_TABLE", PTETable}, {"MAP_R", MapR}, {"MAP_RW", MapRW}, {"MAP_SYSTEM_RW", MapSystemRW}, {"MAP_DEVICE", mapDevice},
		{"CLOCK_ADDR", abi.ClockAddr}, {"CONTROL_ADDR", abi.ControlAddr}, {"STACK_HIGH", abi.StackHigh},
		{"C_IRQS", uint64(unsafe.Offsetof(control.IRQs))}, {"C_DIVERTED", uint64(unsafe.Offsetof(control.Diverted))},
		{"C_ENTRY", uint64(unsafe.Offsetof(control.InterruptEntry))}, {"C_MASKED", uint64(unsafe.Offsetof(control.Masked))},
		{"C_INTERRUPT", uint64(unsafe.Offsetof(control.Interrupt))}, {"C_TRAP_STACK", uint64(unsafe.Offsetof(control.TrapStack))},
		{"C_INT_BUSY", uint64(unsafe.Offsetof(control.Interrupt) + unsafe.Offsetof(control.Interrupt.Busy))},
		{"BOOT_ADDR", abi.BootAddr}, {"BOOT_MAGIC", abi.BootMagic}, {"ABI_VERSION", abi.Version},
		{"B_MAGIC", uint64(unsafe.Offsetof(boot.Magic))}, {"B_VERSION", uint64(unsafe.Offsetof(boot.Version))},
		{"B_MEM_END", uint64(unsafe.Offsetof(boot.MemEnd))}, {"B_IMAGE_END", uint64(unsafe.Offsetof(boot.ImageEnd))},
		{"B_FILES", uint64(unsafe.Offsetof(boot.Files))}, {"B_FILES_LEN", uint64(unsafe.Offsetof(boot.FilesLen))},
		{"B_PLATFORM", uint64(unsafe.Offsetof(boot.Platform))},
		{"PLATFORM_ADDR", abi.PlatformAddr}, {"MEMORY_MAP_ADDR", abi.MemoryMapAddr}, {"CMDLINE_ADDR", abi.CmdLineAddr},
		{"MAX_RANGES", abi.MaxMemoryRanges}, {"MAX_CMDLINE", abi.MaxCmdLine},
		{"TRUNCATED_CMDLINE", abi.TruncatedCmdLine}, {"TRUNCATED_MEMORY", abi.TruncatedMemory},
		{"BOOT_PVH", abi.BootPVH}, {"BOOT_LINUX", abi.BootLinux},
		{"P_PROTOCOL", uint64(unsafe.Offsetof(platform.Protocol))}, {"P_NUM_MEMORY", uint64(unsafe.Offsetof(platform.NumMemory))},
		{"P_CMDLINE_LEN", uint64(unsafe.Offsetof(platform.CmdLineLen))}, {"P_TRUNCATED", uint64(unsafe.Offsetof(platform.Truncated))},
		{"P_RSDP", uint64(unsafe.Offsetof(platform.RSDP))}, {"P_NAME", uint64(unsafe.Offsetof(platform.Name))},
		{"VECTOR_TIMER", abi.VectorTimer}, {"VECTOR_MSI", abi.VectorMSI}, {"VECTOR_PIN", abi.VectorPin},
		{"VECTOR_END", abi.VectorEnd}, {"NUM_PINS", abi.NumPins}, {"VECTOR_SPURIOUS", vectorSpurious},
	} {
		fmt.Fprintf(&b, "%s equ %#x\n", c.name, c.value)
	}
	return b.String()
}

// The committed machine code is what nasm makes of the source.
func TestAssemble(t *testing.T) {
	nasm := xtest.NeedCommand(t, "nasm", "nasm")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "abi.inc"), []byte(include()), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, committed := range map[string][]byte{"boot": bootCode, "resident": residentCode} {
		out := filepath.Join(dir, name+".bin")
		cmd := exec.Command(nasm, "-w+error", "-f", "bin", "-I", dir+"/", "-I", "./", "-o", out, name+".asm")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, text)
		}
		code, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(name+".bin", code, 0o666); err != nil {
				t.Fatal(err)
			}
		} else if !bytes.Equal(code, committed) {
			t.Errorf("%s.bin is not what %s.asm says: go generate ./internal/ring0", name, name)
		}
	}
}
