package ext4

import (
	"math/bits"
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// A geometry is what the superblock says of where things are.
type geometry struct {
	bs            int    // bytes of a block
	shift         uint   // log2 of it
	blocks        uint64 // of the volume
	first         uint32 // the block where group 0 begins
	perGroup      uint32 // blocks
	groups        uint32
	inodes        uint32
	inodesPer     uint32 // of a group
	inodeSize     int
	firstIno      uint32 // that is not reserved
	descSize      int
	reservedGDT   uint32
	flex          bool
	sparse        bool
	checksums     bool
	wide          bool // 64-bit block numbers
	seed          uint32
	journal       uint32 // inode, 0 for none
	incompat, ros uint32
	compat        uint32
}

const whereSuper = "superblock"

// Is reports whether b, at least the first 2048 bytes of a device, has an ext4
// superblock in it.
func Is(b []byte) bool { return len(b) >= sbOffset+sbMagic+2 && u16(b[sbOffset:], sbMagic) == sbMagicN }

// parseSuper checks a superblock, on a device of size bytes, and returns what it
// says. It does not look at anything else.
func parseSuper(sb []byte, size int64) (*geometry, error) {
	if u16(sb, sbMagic) != sbMagicN {
		return nil, damage(whereSuper, "no ext4 file system here")
	}
	g := &geometry{compat: u32(sb, sbCompat), incompat: u32(sb, sbIncompat), ros: u32(sb, sbROCompat)}
	if u32(sb, sbRevision) == 0 {
		return nil, damage(whereSuper, "revision 0 (ext2 of before 1995) is not supported")
	}
	if bad := g.incompat &^ knownIncompat; bad != 0 {
		return nil, damage(whereSuper, "needs features that are not supported: "+incompatNames(bad))
	}
	g.checksums = g.ros&roChecksums != 0
	if g.checksums {
		if sb[sbChecksumType] != 1 {
			return nil, damage(whereSuper, "unknown type of checksums "+strconv.Itoa(int(sb[sbChecksumType])))
		}
		if crc(^uint32(0), sb[:sbChecksum]) != u32(sb, sbChecksum) {
			return nil, damage(whereSuper, "checksum is wrong")
		}
	}
	g.seed = crc(^uint32(0), sb[sbUUID:sbUUID+16])
	if g.incompat&incompatSeed != 0 {
		g.seed = u32(sb, sbSeed)
	}
	g.wide, g.flex, g.sparse = g.incompat&incompat64 != 0, g.incompat&incompatFlexBG != 0, g.ros&roSparseSuper != 0
	if g.compat&compatJournal != 0 {
		g.journal = u32(sb, sbJournalInode)
	}
	return g, g.parseSizes(sb, size)
}

// parseSizes takes the numbers of blocks, groups and inodes.
func (g *geometry) parseSizes(sb []byte, size int64) error {
	log := u32(sb, sbLogBlock)
	if log > 2 {
		return damage(whereSuper, "blocks of more than 4096 bytes are not supported (log "+hex(log)+")")
	}
	g.shift = 10 + uint(log)
	g.bs = 1 << g.shift
	g.blocks = uint64(u32(sb, sbBlocksLo))
	if g.wide {
		g.blocks = split64(sb, sbBlocksLo, sbBlocksHi)
	}
	g.first, g.perGroup = u32(sb, sbFirstData), u32(sb, sbBlocksPerGrp)
	g.inodes, g.inodesPer = u32(sb, sbInodes), u32(sb, sbInodesPerGrp)
	g.inodeSize, g.firstIno = int(u16(sb, sbInodeSize)), u32(sb, sbFirstInode)
	g.reservedGDT = uint32(u16(sb, sbReservedGDT))
	g.descSize = 32
	if g.wide {
		g.descSize = int(u16(sb, sbDescSize))
	}
	switch {
	case u32(sb, sbLogCluster) != log:
		return damage(whereSuper, "clusters of several blocks are not supported")
	case g.blocks > MaxSize>>g.shift || g.blocks > uint64(size)>>g.shift:
		return damage(whereSuper, "says "+strconv.FormatUint(g.blocks, 10)+" blocks of "+strconv.Itoa(g.bs)+
			" bytes, more than the device has: was it cut short?")
	case g.first != 0 && g.bs != 1024 || g.first != 1 && g.bs == 1024 || g.blocks <= uint64(g.first):
		return damage(whereSuper, "first block "+hex(g.first)+" is not what it must be")
	case g.perGroup == 0 || g.perGroup > uint32(8*g.bs) || g.perGroup%8 != 0:
		return damage(whereSuper, "blocks of a group: "+hex(g.perGroup))
	case g.inodeSize < oldInodeSize || g.inodeSize > g.bs || bits.OnesCount(uint(g.inodeSize)) != 1:
		return damage(whereSuper, "bytes of an inode: "+strconv.Itoa(g.inodeSize))
	case g.inodesPer == 0 || g.inodesPer > uint32(8*g.bs) || g.inodesPer%uint32(g.bs/g.inodeSize) != 0:
		return damage(whereSuper, "inodes of a group: "+hex(g.inodesPer))
	case g.wide && g.descSize != 64 && (g.descSize < 64 || g.descSize > g.bs || bits.OnesCount(uint(g.descSize)) != 1):
		return damage(whereSuper, "bytes of a group descriptor: "+strconv.Itoa(g.descSize))
	}
	n := (g.blocks - uint64(g.first) + uint64(g.perGroup) - 1) / uint64(g.perGroup)
	if n > 1<<24 || n*uint64(g.inodesPer) != uint64(g.inodes) || g.inodes < firstInode || g.firstIno < firstInode || g.firstIno > g.inodes {
		return damage(whereSuper, "number of inodes: "+hex(g.inodes))
	}
	g.groups = uint32(n)
	if base := uint64(1 + g.gdtBlocks() + g.reservedGDT); base >= uint64(g.perGroup) || uint64(g.first)+base > g.blocks {
		return damage(whereSuper, "the group descriptors lie beyond the end")
	}
	return nil
}

// unknownNames are the names of features that are not supported.
var unknownNames = [...]struct {
	bit  uint32
	name string
}{
	{0x1, "compression"}, {0x8, "journal_dev"}, {0x10, "meta_bg"}, {0x100, "mmp"}, {0x400, "ea_inode"},
	{0x1000, "dirdata"}, {0x4000, "large_dir"}, {0x8000, "inline_data"}, {0x10000, "encrypt"}, {0x20000, "casefold"},
}

// incompatNames names features, for a message.
func incompatNames(f uint32) string {
	s := ""
	for _, n := range unknownNames {
		if f&n.bit != 0 {
			s += n.name + " "
			f &^= n.bit
		}
	}
	if f != 0 {
		s += hex(f) + " "
	}
	return s[:len(s)-1]
}

// unwritable says why a volume can only be read, "" if it can be written.
func (g *geometry) unwritable() string {
	switch {
	case g.ros&^knownRO != 0:
		return "it has features that can only be read (ro_compat " + hex(g.ros&^knownRO) + ")"
	case g.compat&compatSparseSuper2 != 0:
		return "it has the feature sparse_super2"
	case g.journal == 0:
		return "it has no journal"
	case g.incompat&incompatFiletype == 0 || g.incompat&incompatExtents == 0:
		return "it is ext2 or ext3"
	}
	return ""
}

// gdtBlocks is the number of blocks of group descriptors.
func (g *geometry) gdtBlocks() uint32 {
	per := uint32(g.bs / g.descSize)
	return (g.groups + per - 1) / per
}

// groupStart returns the first block of a group.
func (g *geometry) groupStart(group uint32) uint64 {
	return uint64(g.first) + uint64(group)*uint64(g.perGroup)
}

// groupBlocks returns the number of blocks of a group; the last may be smaller.
func (g *geometry) groupBlocks(group uint32) uint32 {
	return uint32(min(g.blocks-g.groupStart(group), uint64(g.perGroup)))
}

// groupOf returns the group of a block and the block's place in it.
func (g *geometry) groupOf(b uint64) (group, at uint32) {
	n := b - uint64(g.first)
	return uint32(n / uint64(g.perGroup)), uint32(n % uint64(g.perGroup))
}

// itableBlocks is the number of blocks of a group's inode table.
func (g *geometry) itableBlocks() uint32 { return g.inodesPer / uint32(g.bs/g.inodeSize) }

// hasSuper reports whether a group begins with a copy of the superblock.
func (g *geometry) hasSuper(group uint32) bool {
	if group <= 1 || !g.sparse {
		return true
	}
	for _, p := range [...]uint32{3, 5, 7} {
		n := group
		for n%p == 0 {
			n /= p
		}
		if n == 1 {
			return true
		}
	}
	return false
}

// baseBlocks is the number of blocks at the beginning of a group which has a
// superblock that hold it and the group descriptors.
func (g *geometry) baseBlocks(group uint32) uint32 {
	if !g.hasSuper(group) {
		return 0
	}
	return 1 + g.gdtBlocks() + g.reservedGDT
}

// superAt returns the block of the superblock and its place there.
func superAt(bs int) (blk uint64, off int) {
	if bs == sbOffset {
		return 1, 0
	}
	return 0, sbOffset
}

// sealSuper sets the checksum of a superblock.
func (g *geometry) sealSuper(sb []byte) {
	if g.checksums {
		put32(sb, sbChecksum, crc(^uint32(0), sb[:sbChecksum]))
	}
}

// readSuper reads the superblock of a device.
func readSuper(dev block.Device) ([]byte, *geometry, error) {
	if dev.Size() < 4*sbOffset {
		return nil, nil, damage(whereSuper, "the device has only "+strconv.FormatInt(dev.Size(), 10)+" bytes")
	}
	if s := dev.SectorSize(); s > 4096 || s < 1 {
		return nil, nil, errSectors
	}
	raw := make([]byte, 4096)
	if err := dev.ReadAt(raw, 0); err != nil {
		return nil, nil, err
	}
	sb := raw[sbOffset : sbOffset+sbSize]
	g, err := parseSuper(sb, dev.Size())
	if err == nil && dev.SectorSize() > g.bs {
		err = errSectors
	}
	return sb, g, err
}

var errSectors = damage("device", "its sectors are larger than the blocks of the file system")
