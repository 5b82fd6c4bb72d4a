// Package disk makes disks that start an image: for BIOS and for UEFI, as raw
// bytes, in QEMU's qcow2 format, or as an ISO 9660 image that is such a disk as
// well. The same input gives the same bytes. docs/images.md has the layout.
package disk

import (
	"crypto/sha256"
	"io"
	"slices"

	"github.com/tailor-os/tailor/internal/disk/loader"
	"github.com/tailor-os/tailor/internal/hint"
)

// The formats of a disk.
const (
	Raw   = "raw"
	QCOW2 = "qcow2"
	ISO   = "iso"
)

// Formats lists the formats of a disk.
var Formats = []string{Raw, QCOW2, ISO}

const (
	block     = loader.Block
	sector    = 512
	mib       = 1 << 20
	espOffset = mib     // where the EFI system partition begins
	gptBytes  = 33 << 9 // the second GPT, at the end
	maxData   = 1 << 30 // of a program: FAT16 ends at 2 GiB
)

// Write writes a disk in one of the Formats. elf is an image of the target
// virtio, params the command line that it starts with. A disk that was begun may
// not be used if there is an error. Of a file, which must be new, only what is not
// zero is written.
func Write(w io.Writer, format string, elf []byte, params string) error {
	if !slices.Contains(Formats, format) {
		return hint.Errorf("formats of a disk are: raw, qcow2, iso", "unknown format %q", format)
	}
	if err := CheckParams(params); err != nil {
		return err
	}
	k, err := readKernel(elf)
	if err != nil {
		return err
	}
	c := layOut(k, params, format == ISO)
	if format == QCOW2 {
		return c.writeQCOW2(w)
	}
	return c.writeRaw(w)
}

// layOut makes the disk: boot sector and GPT, second stage, if asked for the ISO
// 9660 structures, then the EFI system partition.
func layOut(k *kernel, params string, iso bool) *content {
	esp := makeESP(k, params)
	c := &content{}
	size := int64(espOffset + esp.size + gptBytes)
	c.size = (size + mib - 1) / mib * mib
	id := sha256.Sum256(append(append([]byte("tailor disk\x00"), params...), k.data...))

	second := c.addGPT(esp.size, id)
	c.add(loader.Stage2LBA*sector, loader.BIOS(k.program(), esp.forBIOS()))
	if iso {
		c.addISO(esp)
	}
	for _, e := range esp.extents {
		c.add(espOffset+e.off, e.data)
	}
	c.add(c.size-int64(len(second)), second)
	return c
}
