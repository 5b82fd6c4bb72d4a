package compare

import (
	"io"
	"os"
)

// isDisk reports whether a file is a disk as tailor build --format makes it: with a
// GUID partition table (UEFI 2.10, section 5.3.2), or QEMU's qcow2.
func isDisk(path string) bool {
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

// onlyBytes says what is not compared of disks.
func (r *Report) onlyBytes() {
	if !r.Same {
		r.Where = "the disk"
		r.Unknown = append(r.Unknown, "what differs on the disks: compare the images that are on them, which tailor build -t virtio makes without --format")
	}
}
