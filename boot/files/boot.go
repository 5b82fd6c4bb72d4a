//go:build tailoros

package files

import (
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

//go:linkname bootInfo runtime.tailor_bootInfo
func bootInfo() *abi.BootInfo

func init() {
	info := bootInfo()
	if info.Files == 0 {
		panic("tailor: the starter did not offer the image's files")
	}
	// SAFETY: the starter mapped these bytes, read-only, for good.
	data := unsafe.Slice((*byte)(unsafe.Pointer(uintptr(info.Files))), int(info.FilesLen))
	a, err := Parse(data)
	if err == nil {
		err = a.Mount()
	}
	if err != nil {
		panic("tailor: the image's files: " + err.Error())
	}
}
