package ext4

import "strconv"

// The journal's format, JBD2 (Documentation/filesystems/ext4/journal.rst). All
// its numbers are big-endian.
const (
	jMagic = 0xC03B3998

	jDescriptor = 1
	jCommit     = 2
	jSuper1     = 3
	jSuper2     = 4
	jRevoke     = 5

	jHeaderSize = 12

	// Offsets in its superblock.
	jsBlockSize = 0xC
	jsLength    = 0x10
	jsFirst     = 0x14
	jsSequence  = 0x18
	jsStart     = 0x1C
	jsErrno     = 0x20
	jsCompat    = 0x24
	jsIncompat  = 0x28
	jsRO        = 0x2C
	jsUUID      = 0x30
	jsUsers     = 0x40
	jsCsumType  = 0x50
	jsChecksum  = 0xFC
	jsSize      = 1024

	// Offsets in a commit block.
	jcChecksum = 0x10
	jcSeconds  = 0x30
	jcNanos    = 0x38

	jFeatureChecksum = 1 // compatible: sums in commit blocks, of old
	jFeatureRevoke   = 0x1
	jFeature64       = 0x2
	jFeatureAsync    = 0x4
	jFeatureCsum2    = 0x8
	jFeatureCsum3    = 0x10
	jFeaturesKnown   = jFeatureRevoke | jFeature64 | jFeatureAsync | jFeatureCsum2 | jFeatureCsum3

	tagEscaped  = 1
	tagSameUUID = 2
	tagDeleted  = 4
	tagLast     = 8

	minJournal = 1024 // blocks, as Linux demands
)

// A jformat is how the blocks of a journal are laid out.
type jformat struct {
	wide   bool   // 64-bit block numbers
	csum   int    // 0, 2 or 3
	seed   uint32 // of checksums
	bs     int
	length uint32 // blocks of the journal
	first  uint32 // the block where the log begins, after the superblock
}

const whereJournal = "journal superblock"

// parseJSuper checks a journal's superblock, of a journal of n blocks.
func parseJSuper(js []byte, bs int, n uint64) (*jformat, error) {
	typ := be32(js, 4)
	if be32(js, 0) != jMagic || typ != jSuper1 && typ != jSuper2 {
		return nil, damage(whereJournal, "there is none")
	}
	f := &jformat{bs: bs, length: be32(js, jsLength), first: be32(js, jsFirst)}
	if int(be32(js, jsBlockSize)) != bs || uint64(f.length) > n || f.length < 8 || f.first < 1 || f.first >= f.length {
		return nil, damage(whereJournal, "its sizes do not fit the journal")
	}
	if typ == jSuper1 {
		return f, nil
	}
	incompat := be32(js, jsIncompat)
	if bad := incompat &^ jFeaturesKnown; bad != 0 || be32(js, jsRO) != 0 {
		return nil, damage(whereJournal, "needs features that are not supported: "+hex(bad))
	}
	f.wide = incompat&jFeature64 != 0
	switch {
	case incompat&jFeatureCsum3 != 0:
		f.csum = 3
	case incompat&jFeatureCsum2 != 0:
		f.csum = 2
	}
	if f.csum == 0 {
		return f, nil
	}
	f.seed = crc(^uint32(0), js[jsUUID:jsUUID+16])
	if js[jsCsumType] != 4 {
		return nil, damage(whereJournal, "unknown type of checksums "+strconv.Itoa(int(js[jsCsumType])))
	}
	if without(^uint32(0), js[:jsSize], jsChecksum, 4) != be32(js, jsChecksum) {
		return nil, damage(whereJournal, "checksum is wrong")
	}
	return f, nil
}

// sealJSuper sets the checksum of a journal's superblock.
func (f *jformat) sealJSuper(js []byte) {
	if f.csum != 0 {
		putBE32(js, jsChecksum, without(^uint32(0), js[:jsSize], jsChecksum, 4))
	}
}

// tagSize is the number of bytes of a tag in a descriptor block.
func (f *jformat) tagSize() int {
	switch {
	case f.csum == 3:
		return 16
	case f.csum == 2 && f.wide:
		return 14
	case f.wide:
		return 12
	case f.csum == 2:
		return 10
	}
	return 8
}

// space is the number of bytes of a descriptor or revoke block before its
// checksum.
func (f *jformat) space() int {
	if f.csum != 0 {
		return f.bs - 4
	}
	return f.bs
}

// revokeSize is the number of bytes of a block number in a revoke block.
func (f *jformat) revokeSize() int {
	if f.wide {
		return 8
	}
	return 4
}

// sealed reports whether the checksum at the end of a descriptor or revoke block
// is right.
func (f *jformat) sealed(b []byte) bool {
	return f.csum == 0 || without(f.seed, b, f.bs-4, 4) == be32(b, f.bs-4)
}

func (f *jformat) seal(b []byte) {
	if f.csum != 0 {
		putBE32(b, f.bs-4, without(f.seed, b, f.bs-4, 4))
	}
}

// dataSum is the checksum of a block in the journal of transaction tid.
func (f *jformat) dataSum(tid uint32, b []byte) uint32 {
	var t [4]byte
	putBE32(t[:], 0, tid)
	return crc(crc(f.seed, t[:]), b)
}

// header writes the header of a block.
func jHeader(b []byte, typ, tid uint32) {
	putBE32(b, 0, jMagic)
	putBE32(b, 4, typ)
	putBE32(b, 8, tid)
}
