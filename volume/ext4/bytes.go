package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

// Fields of structures on the disk: little-endian, but for the journal's.

func u16(b []byte, off int) uint16        { return binary.LittleEndian.Uint16(b[off:]) }
func u32(b []byte, off int) uint32        { return binary.LittleEndian.Uint32(b[off:]) }
func put16(b []byte, off int, v uint16)   { binary.LittleEndian.PutUint16(b[off:], v) }
func put32(b []byte, off int, v uint32)   { binary.LittleEndian.PutUint32(b[off:], v) }
func be32(b []byte, off int) uint32       { return binary.BigEndian.Uint32(b[off:]) }
func putBE32(b []byte, off int, v uint32) { binary.BigEndian.PutUint32(b[off:], v) }

// split64 reads a number whose halves are apart.
func split64(b []byte, low, high int) uint64 {
	return uint64(u32(b, low)) | uint64(u32(b, high))<<32
}

func putSplit64(b []byte, low, high int, v uint64) {
	put32(b, low, uint32(v))
	put32(b, high, uint32(v>>32))
}

// castagnoli returns the table, which is made at its first use: as a variable, it would
// be made, and all of its code linked, in images that show disks and mount nothing.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// crc continues a CRC-32C as ext4 computes it: nothing is inverted.
func crc(seed uint32, b []byte) uint32 { return ^crc32.Update(^seed, castagnoli(), b) }

// crc32of continues a CRC with a number.
func crc32of(seed, v uint32) uint32 {
	var b [4]byte
	put32(b[:], 0, v)
	return crc(seed, b[:])
}

// without computes a CRC of b as if the n bytes at off were zero.
func without(seed uint32, b []byte, off, n int) uint32 {
	var zero [4]byte
	seed = crc(seed, b[:off])
	seed = crc(seed, zero[:n])
	return crc(seed, b[off+n:])
}
