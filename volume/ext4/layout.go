package ext4

// Offsets in the superblock (Documentation/filesystems/ext4/super.rst).
const (
	sbInodes        = 0x0
	sbBlocksLo      = 0x4
	sbReservedLo    = 0x8
	sbFreeBlocksLo  = 0xC
	sbFreeInodes    = 0x10
	sbFirstData     = 0x14
	sbLogBlock      = 0x18
	sbLogCluster    = 0x1C
	sbBlocksPerGrp  = 0x20
	sbClustersGrp   = 0x24
	sbInodesPerGrp  = 0x28
	sbMountTime     = 0x2C
	sbWriteTime     = 0x30
	sbMountCount    = 0x34
	sbMaxMounts     = 0x36
	sbMagic         = 0x38
	sbState         = 0x3A
	sbErrors        = 0x3C
	sbLastCheck     = 0x40
	sbRevision      = 0x4C
	sbFirstInode    = 0x54
	sbInodeSize     = 0x58
	sbGroupNumber   = 0x5A
	sbCompat        = 0x5C
	sbIncompat      = 0x60
	sbROCompat      = 0x64
	sbUUID          = 0x68
	sbLabel         = 0x78
	sbReservedGDT   = 0xCE
	sbJournalInode  = 0xE0
	sbLastOrphan    = 0xE8
	sbHashSeed      = 0xEC
	sbHashVersion   = 0xFC
	sbJnlBackupType = 0xFD
	sbDescSize      = 0xFE
	sbMkfsTime      = 0x108
	sbJnlBlocks     = 0x10C
	sbBlocksHi      = 0x150
	sbReservedHi    = 0x154
	sbFreeBlocksHi  = 0x158
	sbMinExtra      = 0x15C
	sbWantExtra     = 0x15E
	sbFlags         = 0x160
	sbChecksumType  = 0x175
	sbSeed          = 0x270
	sbOrphanFile    = 0x280
	sbChecksum      = 0x3FC

	sbSize   = 1024
	sbOffset = 1024
	sbMagicN = 0xEF53

	labelBytes = 16

	stateErrors = 2 // in the state: Linux or e2fsck has seen damage
)

// Features that an old reader may ignore.
const (
	compatJournal      = 0x4
	compatExtAttr      = 0x8
	compatResizeInode  = 0x10
	compatSparseSuper2 = 0x200
)

// Features without which a volume cannot be read.
const (
	incompatFiletype = 0x2
	incompatRecover  = 0x4
	incompatExtents  = 0x40
	incompat64       = 0x80
	incompatFlexBG   = 0x200
	incompatSeed     = 0x2000

	knownIncompat = incompatFiletype | incompatRecover | incompatExtents | incompat64 | incompatFlexBG | incompatSeed
)

// Features without which a volume cannot be written.
const (
	roSparseSuper = 0x1
	roLargeFile   = 0x2
	roHugeFile    = 0x8
	roDirNlink    = 0x20
	roExtraSize   = 0x40
	roChecksums   = 0x400

	knownRO = roSparseSuper | roLargeFile | roHugeFile | roDirNlink | roExtraSize | roChecksums
)

// Offsets in a group descriptor (group_descr.rst). The high halves are there if
// descriptors have 64 bytes.
const (
	gdBlockBitmap = 0x0
	gdInodeBitmap = 0x4
	gdInodeTable  = 0x8
	gdFreeBlocks  = 0xC
	gdFreeInodes  = 0xE
	gdUsedDirs    = 0x10
	gdFlags       = 0x12
	gdBlockCsum   = 0x18
	gdInodeCsum   = 0x1A
	gdUnused      = 0x1C
	gdChecksum    = 0x1E
	gdHigh        = 0x20 // the high halves of the first three, 0x20 behind
	gdFreeBlksHi  = 0x2C
	gdFreeInosHi  = 0x2E
	gdUsedDirsHi  = 0x30
	gdUnusedHi    = 0x32
	gdBlockCsumHi = 0x38
	gdInodeCsumHi = 0x3A

	gdInodeUninit = 1
	gdBlockUninit = 2
	gdZeroed      = 4
)

// Offsets in an inode (inodes.rst).
const (
	inMode       = 0x0
	inUID        = 0x2
	inSizeLo     = 0x4
	inAtime      = 0x8
	inCtime      = 0xC
	inMtime      = 0x10
	inDtime      = 0x14
	inGID        = 0x18
	inLinks      = 0x1A
	inBlocksLo   = 0x1C
	inFlags      = 0x20
	inBlock      = 0x28
	inGeneration = 0x64
	inACLLo      = 0x68
	inSizeHi     = 0x6C
	inBlocksHi   = 0x74
	inACLHi      = 0x76
	inUIDHi      = 0x78
	inGIDHi      = 0x7A
	inCsumLo     = 0x7C
	inExtraSize  = 0x80
	inCsumHi     = 0x82
	inCtimeExtra = 0x84
	inMtimeExtra = 0x88
	inAtimeExtra = 0x8C
	inCrtime     = 0x90
	inCrtimeEx   = 0x94

	oldInodeSize = 128
	extraSize    = 32 // bytes behind the first 128 that are used
	blockBytes   = 60 // of i_block
)

// Inode flags.
const (
	flagImmutable = 0x10
	flagAppend    = 0x20
	flagIndex     = 0x1000
	flagHuge      = 0x40000
	flagExtents   = 0x80000

	// Contents that are stored in ways unknown here: compressed, encrypted,
	// verity, with large attributes, inline.
	flagStrange = 0x4 | 0x800 | 0x100000 | 0x200000 | 0x10000000
)

// Inodes with a purpose.
const (
	rootInode    = 2
	resizeInode  = 7
	journalInode = 8
	firstInode   = 11
)

// Types of files in Mode, as stat(2) has them.
const (
	ModeFmt    = 0o170000
	ModeFIFO   = 0o010000
	ModeChar   = 0o020000
	ModeDir    = 0o040000
	ModeBlock  = 0o060000
	ModeReg    = 0o100000
	ModeLink   = 0o120000
	ModeSocket = 0o140000

	modePerm   = 0o7777
	modeSetGID = 0o2000
)

// dirType returns the type of a file as directories have it (directory.rst).
func dirType(mode uint32) byte {
	switch mode & ModeFmt {
	case ModeReg:
		return 1
	case ModeDir:
		return 2
	case ModeChar:
		return 3
	case ModeBlock:
		return 4
	case ModeFIFO:
		return 5
	case ModeSocket:
		return 6
	case ModeLink:
		return 7
	}
	return 0
}

// modeOfType is the reverse of dirType.
func modeOfType(t byte) uint32 {
	modes := [...]uint32{0, ModeReg, ModeDir, ModeChar, ModeBlock, ModeFIFO, ModeSocket, ModeLink}
	if int(t) < len(modes) {
		return modes[t]
	}
	return 0
}
