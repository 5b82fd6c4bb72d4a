package anatomy

import (
	"io"
	"os"
)

// IsDisk reports whether a file is a disk as tailor build --format makes it: with a
// GUID partition table (UEFI 2.10, section 5.3.2), or QEMU's qcow2.
func IsDisk(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 520)
	if _, err := io.ReadFull(f, head); err != nil {
		return false
	}
	return string(head[512:]) == "EFI PART" || string(head[:4]) == "QFI\xfb"
}
