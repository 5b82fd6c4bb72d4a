package guest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
)

// MinMemory is the smallest guest memory in bytes that anything boots with.
const MinMemory = 4 << 20

// A MemoryError is too little memory for an image.
type MemoryError struct{ Have, Need uint64 } // bytes

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%d MiB of memory are too few for this image", e.Have>>20)
}

// Hint is the remedy.
func (e *MemoryError) Hint() string {
	return fmt.Sprintf("give it more, for example -m %dM", (e.Need+4<<20)>>20&^1)
}

// WriteBootInfo writes abi.BootInfo, with further flags, the device table and the
// parameters. The memory that the guest may use ends at memEnd, its image at
// imageEnd.
func WriteBootInfo(m *Memory, cfg *Config, devices []abi.Device, memEnd, imageEnd, flags uint64) error {
	table := uint64(abi.BootAddr) + uint64(unsafe.Sizeof(abi.BootInfo{}))
	table = (table + 63) &^ 63
	params := table + uint64(len(devices))*uint64(unsafe.Sizeof(abi.Device{}))
	words := cfg.Params + shareParams(cfg.Shares) + VolumeParams(cfg.Volumes)
	if params+uint64(len(words)) > abi.BootEnd {
		return fmt.Errorf("boot parameters of %d bytes do not fit (at most %d)", len(words), abi.BootEnd-params)
	}
	info := At[abi.BootInfo](m, abi.BootAddr)
	*info = abi.BootInfo{
		Magic:      abi.BootMagic,
		Version:    abi.Version,
		NumDevices: uint32(len(devices)),
		MemEnd:     memEnd,
		ImageEnd:   imageEnd,
		Devices:    table,
		Params:     params,
		ParamsLen:  uint64(len(words)),
		Flags:      abi.BootInterrupts | flags,
		BellCount:  1,
	}
	if len(m.Files) > 0 {
		info.Files, info.FilesLen = m.FilesAddr(), uint64(len(m.Files))
	}
	if cfg.Verbose {
		info.Flags |= abi.BootVerbose
	}
	if _, err := rand.Read(info.Seed[:]); err != nil {
		return err
	}
	for i := range devices {
		*At[abi.Device](m, table+uint64(i)*uint64(unsafe.Sizeof(abi.Device{}))) = devices[i]
	}
	copy(m.Mem[params:], words)
	return nil
}

// Auxiliary vector types, linux/auxvec.h.
const (
	auxNull   = 0
	auxPagesz = 6
	auxRandom = 25
)

// WriteStack writes the stack a new Linux program starts with (System V ABI,
// AMD64 supplement, section 3.4.1) below abi.StackHigh and returns its pointer.
func WriteStack(mem []byte, cfg *Config) (uint64, error) {
	top := uint64(abi.StackHigh)
	put := func(b []byte) uint64 {
		top -= uint64(len(b))
		copy(mem[top:], b)
		return top
	}
	total := 0
	for _, s := range append(append([]string{}, cfg.Args...), cfg.Env...) {
		total += len(s) + 1 + 8
	}
	if total > abi.MaxArgBytes {
		return 0, fmt.Errorf("arguments and environment of %d bytes do not fit (at most %d)", total, abi.MaxArgBytes)
	}
	var random [16]byte
	if _, err := rand.Read(random[:]); err != nil {
		return 0, err
	}
	words := []uint64{uint64(len(cfg.Args))}
	for _, list := range [][]string{cfg.Args, cfg.Env} {
		for _, s := range list {
			words = append(words, put(append([]byte(s), 0)))
		}
		words = append(words, 0)
	}
	top &^= 15
	words = append(words, auxRandom, put(random[:]), auxPagesz, abi.PageSize, auxNull, 0)
	sp := (top - uint64(len(words))*8) &^ 15
	for i, w := range words {
		binary.LittleEndian.PutUint64(mem[sp+uint64(i)*8:], w)
	}
	if sp < abi.StackLow+64<<10 {
		return 0, errors.New("arguments and environment leave no stack")
	}
	return sp, nil
}
