package ext4

import (
	"strconv"

	"github.com/tailor-os/tailor/block"
)

// MkfsOptions say how a file system is made. The same options make the same bytes.
type MkfsOptions struct {
	UUID  [16]byte // should be random; with zeros, all volumes have the same
	Time  int64    // of making it, in nanoseconds since 1970
	Label string   // up to 16 bytes
	// UID and GID own the root directory.
	UID, GID uint32
	// BlockSize is 1024, 2048 or 4096 bytes; 0 stands for 1024 below 32 MiB and
	// 4096 from there on.
	BlockSize int
	// BytesPerInode is how much of the volume there is for each file that it can
	// hold; 0 stands for 16 KiB, 4 KiB with small blocks.
	BytesPerInode int
	// JournalBlocks is the size of the journal; 0 stands for a 32nd of the
	// volume, at most 64 MiB. It is at least 1024.
	JournalBlocks int
}

// smallVolume is the size in bytes from which on blocks have 4 KiB.
const smallVolume = 32 << 20

// Mkfs makes an empty file system on dev, over whatever is there. Volumes have
// MinSize bytes, or more as their blocks are larger.
func Mkfs(dev block.Device, o MkfsOptions) error {
	m, err := planMkfs(dev, o)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		m.wipeJournal, m.writeGroups, m.writeTree, m.writeJournal, dev.Flush, m.writeSupers, dev.Flush,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// A mkfs is a file system in the making.
type mkfs struct {
	geometry
	o       MkfsOptions
	dev     block.Device
	gdt     []byte
	root    uint64 // the block of the root directory; that of lost+found follows
	jStart  uint64
	jBlocks uint32
}

// planMkfs decides where everything goes.
func planMkfs(dev block.Device, o MkfsOptions) (*mkfs, error) {
	m := &mkfs{o: o, dev: dev}
	size := dev.Size()
	bs := o.BlockSize
	if bs == 0 {
		bs = 4096
		if size < smallVolume && dev.SectorSize() <= 1024 {
			bs = 1024
		}
	}
	switch {
	case bs != 1024 && bs != 2048 && bs != 4096 || dev.SectorSize() > bs:
		return nil, damage("mkfs", "blocks of "+strconv.Itoa(bs)+" bytes cannot be made")
	case size < MinSize || size > MaxSize:
		return nil, damage("mkfs", "a volume of "+strconv.FormatInt(size, 10)+" bytes cannot be made: at least 2 MiB, at most 16 TiB")
	case len(o.Label) > labelBytes:
		return nil, damage("mkfs", "the label is longer than 16 bytes")
	}
	m.bs, m.shift = bs, 10
	for 1<<m.shift < bs {
		m.shift++
	}
	if bs == 1024 {
		m.first = 1
	}
	m.perGroup = uint32(8 * bs)
	m.blocks = uint64(size) >> m.shift
	m.inodeSize, m.descSize, m.firstIno = 256, 64, firstInode
	m.wide, m.sparse, m.checksums = true, true, true
	m.seed = crc(^uint32(0), o.UUID[:])
	m.layout()
	return m, m.place()
}

// layout computes the numbers of groups and inodes. A last group that is too small
// to be of use is left out.
func (m *mkfs) layout() {
	ratio := m.o.BytesPerInode
	if ratio == 0 {
		ratio = 4 * m.bs
	}
	for {
		m.groups = uint32((m.blocks - uint64(m.first) + uint64(m.perGroup) - 1) / uint64(m.perGroup))
		per := (m.blocks<<m.shift)/uint64(max(ratio, 1024))/uint64(m.groups) + 1
		unit := uint64(max(m.bs/m.inodeSize, 8))
		m.inodesPer = uint32(min((per+unit-1)/unit*unit, uint64(8*m.bs)))
		m.inodesPer = max(m.inodesPer, 16)
		last := m.groups - 1
		overhead := m.baseBlocks(last) + 2 + m.itableBlocks()
		if last == 0 || m.groupBlocks(last) >= overhead+50 {
			break
		}
		m.blocks = m.groupStart(last)
	}
	m.geometry.inodes = m.inodesPer * m.groups
}

// place finds the places of what is in group 0.
func (m *mkfs) place() error {
	m.root = m.itable(0) + uint64(m.itableBlocks())
	m.jStart = m.root + 2
	free := m.groupStart(0) + uint64(m.groupBlocks(0))
	n := m.o.JournalBlocks
	if n == 0 {
		n = min(int(m.blocks/32), (64<<20)>>m.shift, int(free)-int(m.jStart)-16)
	}
	m.jBlocks = uint32(min(max(n, minJournal), maxExtent-1))
	if m.jStart+uint64(m.jBlocks)+16 > free {
		return damage("mkfs", "the volume is too small for blocks of "+strconv.Itoa(m.bs)+" bytes and a journal of "+strconv.Itoa(int(m.jBlocks)))
	}
	return nil
}

// bitmaps returns the block of a group's block bitmap; that of the inodes follows,
// and the inode table.
func (m *mkfs) bitmaps(g uint32) uint64 { return m.groupStart(g) + uint64(m.baseBlocks(g)) }

func (m *mkfs) itable(g uint32) uint64 { return m.bitmaps(g) + 2 }

// used returns how many blocks at the beginning of a group are in use.
func (m *mkfs) used(g uint32) uint32 {
	if g == 0 {
		return uint32(m.jStart + uint64(m.jBlocks) - m.groupStart(0))
	}
	return m.baseBlocks(g) + 2 + m.itableBlocks()
}

func (m *mkfs) write(blk uint64, p []byte) error { return m.dev.WriteAt(p, int64(blk)<<m.shift) }

// wipeJournal clears where the journal's and the first groups' blocks will be, so
// that nothing that was there before can be taken for ours.
func (m *mkfs) wipeJournal() error {
	zero := make([]byte, 256<<10)
	for at, end := uint64(0), m.jStart+uint64(m.jBlocks); at < end; {
		n := min(uint64(len(zero))>>m.shift, end-at)
		if err := m.write(at, zero[:n<<m.shift]); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// writeGroups writes the bitmaps, and makes the descriptors. The inode tables but
// the first's are left as they are: their groups say that they are not used.
func (m *mkfs) writeGroups() error {
	m.gdt = make([]byte, int(m.gdtBlocks())*m.bs)
	fs := &FS{geometry: m.geometry}
	p := make([]byte, m.bs)
	for g := range m.groups {
		d := group{g: g, d: m.gdt[int(g)*64:][:64], fs: fs}
		putSplit64(d.d, gdBlockBitmap, gdBlockBitmap+gdHigh, m.bitmaps(g))
		putSplit64(d.d, gdInodeBitmap, gdInodeBitmap+gdHigh, m.bitmaps(g)+1)
		putSplit64(d.d, gdInodeTable, gdInodeTable+gdHigh, m.itable(g))
		clear(p)
		setBits(p, 0, int(m.used(g)))
		setBits(p, int(m.groupBlocks(g)), 8*m.bs-int(m.groupBlocks(g)))
		d.sealBitmap(p, int(m.perGroup/8), gdBlockCsum, gdBlockCsumHi)
		if err := m.write(m.bitmaps(g), p); err != nil {
			return err
		}
		d.putCount(gdFreeBlocks, gdFreeBlksHi, m.groupBlocks(g)-m.used(g))
		free, flags := m.inodesPer, uint16(gdInodeUninit)
		if g == 0 {
			free, flags = free-firstInode, gdZeroed
			clear(p)
			setBits(p, 0, firstInode)
			setBits(p, int(m.inodesPer), 8*m.bs-int(m.inodesPer))
			d.sealBitmap(p, int(m.inodesPer/8), gdInodeCsum, gdInodeCsumHi)
			d.putCount(gdUsedDirs, gdUsedDirsHi, 2)
			if err := m.write(m.bitmaps(g)+1, p); err != nil {
				return err
			}
		}
		d.putCount(gdFreeInodes, gdFreeInosHi, free)
		d.putCount(gdUnused, gdUnusedHi, free)
		put16(d.d, gdFlags, flags)
		d.seal()
	}
	return nil
}

// inodeBytes makes the bytes of an inode whose contents are n blocks from blk on.
func (m *mkfs) inodeBytes(ino, mode, links uint32, blk uint64, n uint32) []byte {
	fs := &FS{geometry: m.geometry}
	in := &Inode{fs: fs, ino: ino}
	size := int64(n) << m.shift
	in.fields = fields{mode: mode, links: links, flags: flagExtents, size: size, stored: size,
		sectors: uint64(n) * uint64(m.bs/512), atime: m.o.Time, mtime: m.o.Time, ctime: m.o.Time}
	if ino == rootInode {
		in.uid, in.gid = m.o.UID, m.o.GID
	}
	in.initTree()
	root := node(in.block[:])
	root.setEntries(1)
	root.putExtent(0, extent{n: n, start: blk})
	raw := make([]byte, m.inodeSize)
	put16(raw, inExtraSize, extraSize)
	putTime(raw, inCrtime, inCrtimeEx, m.o.Time)
	in.encode(raw)
	return raw
}

// writeTree writes the inodes of group 0, the root directory and lost+found, which
// e2fsck asks for.
func (m *mkfs) writeTree() error {
	table := make([]byte, (firstInode*m.inodeSize+m.bs-1)/m.bs*m.bs)
	put := func(ino uint32, raw []byte) { copy(table[int(ino-1)*m.inodeSize:], raw) }
	put(rootInode, m.inodeBytes(rootInode, ModeDir|0o755, 3, m.root, 1))
	put(firstInode, m.inodeBytes(firstInode, ModeDir|0o700, 2, m.root+1, 1))
	put(journalInode, m.inodeBytes(journalInode, ModeReg|0o600, 1, m.jStart, m.jBlocks))
	if err := m.write(m.itable(0), table); err != nil {
		return err
	}
	fs := &FS{geometry: m.geometry}
	p := make([]byte, m.bs)
	dir := byte(2)
	putEntry(p, 0, 12, rootInode, dir, ".")
	putEntry(p, 12, 12, rootInode, dir, "..")
	putEntry(p, 24, fs.dirSpace()-24, firstInode, dir, "lost+found")
	(&Inode{fs: fs, ino: rootInode}).sealDir(0, p)
	if err := m.write(m.root, p); err != nil {
		return err
	}
	clear(p)
	putEntry(p, 0, 12, firstInode, dir, ".")
	putEntry(p, 12, fs.dirSpace()-12, rootInode, dir, "..")
	(&Inode{fs: fs, ino: firstInode}).sealDir(0, p)
	return m.write(m.root+1, p)
}

// writeJournal writes the journal's superblock.
func (m *mkfs) writeJournal() error {
	js := make([]byte, m.bs)
	jHeader(js, jSuper2, 0)
	putBE32(js, jsBlockSize, uint32(m.bs))
	putBE32(js, jsLength, m.jBlocks)
	putBE32(js, jsFirst, 1)
	putBE32(js, jsSequence, 1)
	putBE32(js, jsIncompat, jFeatureRevoke|jFeature64|jFeatureCsum3)
	copy(js[jsUUID:], m.o.UUID[:])
	putBE32(js, jsUsers, 1)
	js[jsCsumType] = 4
	(&jformat{csum: 3}).sealJSuper(js)
	return m.write(m.jStart, js)
}

// superBytes makes the superblock.
func (m *mkfs) superBytes() []byte {
	sb := make([]byte, sbSize)
	free := uint64(0)
	for g := range m.groups {
		free += uint64(m.groupBlocks(g) - m.used(g))
	}
	seconds := uint32(m.o.Time / 1e9)
	put32(sb, sbInodes, m.geometry.inodes)
	putSplit64(sb, sbBlocksLo, sbBlocksHi, m.blocks)
	putSplit64(sb, sbFreeBlocksLo, sbFreeBlocksHi, free)
	put32(sb, sbFreeInodes, m.geometry.inodes-firstInode)
	put32(sb, sbFirstData, m.first)
	put32(sb, sbLogBlock, uint32(m.shift-10))
	put32(sb, sbLogCluster, uint32(m.shift-10))
	put32(sb, sbBlocksPerGrp, m.perGroup)
	put32(sb, sbClustersGrp, m.perGroup)
	put32(sb, sbInodesPerGrp, m.inodesPer)
	put32(sb, sbWriteTime, seconds)
	put16(sb, sbMaxMounts, 0xFFFF) // no check because of the number of mounts
	put16(sb, sbMagic, sbMagicN)
	put16(sb, sbState, 1)  // clean
	put16(sb, sbErrors, 1) // go on: Linux's default
	put32(sb, sbLastCheck, seconds)
	put32(sb, sbRevision, 1)
	put32(sb, sbFirstInode, firstInode)
	put16(sb, sbInodeSize, uint16(m.inodeSize))
	put32(sb, sbCompat, compatJournal|compatExtAttr)
	put32(sb, sbIncompat, incompatFiletype|incompatExtents|incompat64)
	put32(sb, sbROCompat, roSparseSuper|roLargeFile|roHugeFile|roDirNlink|roExtraSize|roChecksums)
	copy(sb[sbUUID:], m.o.UUID[:])
	copy(sb[sbLabel:], m.o.Label)
	put32(sb, sbJournalInode, journalInode)
	copy(sb[sbHashSeed:], m.o.UUID[:])
	sb[sbHashVersion] = 1 // half MD4: what Linux uses, should it make an index
	put16(sb, sbDescSize, 64)
	put32(sb, sbMkfsTime, seconds)
	m.backupJournal(sb)
	put16(sb, sbMinExtra, extraSize)
	put16(sb, sbWantExtra, extraSize)
	put32(sb, sbFlags, 1) // directory hashes are of signed bytes
	sb[sbChecksumType] = 1
	return sb
}

// backupJournal copies where the journal is into the superblock.
func (m *mkfs) backupJournal(sb []byte) {
	sb[sbJnlBackupType] = 1
	raw := m.inodeBytes(journalInode, ModeReg|0o600, 1, m.jStart, m.jBlocks)
	copy(sb[sbJnlBlocks:], raw[inBlock:inBlock+blockBytes])
	put32(sb, sbJnlBlocks+blockBytes, u32(raw, inSizeHi))
	put32(sb, sbJnlBlocks+blockBytes+4, u32(raw, inSizeLo))
}

// writeSupers writes the superblock and the group descriptors, the copies first.
func (m *mkfs) writeSupers() error {
	sb := m.superBytes()
	for g := m.groups; g > 0; {
		g--
		if !m.hasSuper(g) {
			continue
		}
		put16(sb, sbGroupNumber, uint16(g))
		m.sealSuper(sb)
		blk, off := m.groupStart(g), 0
		if g == 0 {
			_, off = superAt(m.bs)
		}
		if err := m.write(blk+1, m.gdt); err != nil {
			return err
		}
		p := make([]byte, m.bs)
		copy(p[off:], sb)
		if err := m.write(blk, p); err != nil {
			return err
		}
	}
	return nil
}
