package anatomy

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tailor-os/tailor/internal/image"
)

// A segment is what the file has of one.
type segment struct {
	addr, off uint64
	data      []byte
	flags     elf.ProgFlag
}

func (s *segment) end() uint64 { return s.addr + uint64(len(s.data)) }

// memory is a program as it is when it is loaded.
type memory []segment

// load reads the loadable segments. All must lie within the file, whose size is
// size, one behind the other, so that a file cannot ask for more memory than it
// has bytes.
func load(exe *elf.File, size uint64) (memory, error) {
	var m memory
	var read uint64
	for _, prog := range exe.Progs {
		if prog.Type != elf.PT_LOAD {
			continue
		}
		if len(m) == image.MaxSegments {
			return nil, fmt.Errorf("has more than %d segments, which is not as Go's linker makes it", image.MaxSegments)
		}
		if prog.Filesz > size || prog.Off > size-prog.Filesz || prog.Vaddr > 1<<62 {
			return nil, fmt.Errorf("is truncated or damaged: a segment of %d bytes at byte %d of %d", prog.Filesz, prog.Off, size)
		}
		if read += prog.Filesz; read > size {
			return nil, errors.New("is damaged: its segments overlap")
		}
		data := make([]byte, prog.Filesz)
		if _, err := prog.ReadAt(data, 0); err != nil && prog.Filesz > 0 {
			return nil, fmt.Errorf("read a segment: %w", err)
		}
		m = append(m, segment{prog.Vaddr, prog.Off, data, prog.Flags})
	}
	return m, nil
}

// at returns the segment that has the bytes from addr to end, nil if none does.
func (m memory) at(addr, end uint64) *segment {
	for i := range m {
		if s := &m[i]; addr >= s.addr && end <= s.end() && addr <= end {
			return s
		}
	}
	return nil
}

// bytes returns the bytes from addr to end, nil if they are not all in the file.
func (m memory) bytes(addr, end uint64) []byte {
	s := m.at(addr, end)
	if s == nil {
		return nil
	}
	return s.data[addr-s.addr : end-s.addr]
}

// offset returns where in the file the bytes from addr to end are.
func (m memory) offset(addr, end uint64) (off uint64, ok bool) {
	s := m.at(addr, end)
	if s == nil {
		return 0, false
	}
	return s.off + addr - s.addr, true
}

// u32 returns the little-endian number at off, 0 beyond the end.
func u32(b []byte, off uint64) uint32 {
	if off > uint64(len(b)) || uint64(len(b))-off < 4 {
		return 0
	}
	return binary.LittleEndian.Uint32(b[off:])
}

// u64 returns the little-endian number at off, 0 beyond the end.
func u64(b []byte, off uint64) uint64 {
	if off > uint64(len(b)) || uint64(len(b))-off < 8 {
		return 0
	}
	return binary.LittleEndian.Uint64(b[off:])
}

// maxText bounds the names of functions and files, in bytes.
const maxText = 1 << 16

// text returns the NUL-terminated text at off; ok is false beyond the end.
func text(b []byte, off uint64) (s string, ok bool) {
	if off >= uint64(len(b)) {
		return "", false
	}
	for i, c := range b[off:min(off+maxText, uint64(len(b)))] {
		if c == 0 {
			return string(b[off : off+uint64(i)]), true
		}
	}
	return "", false
}
