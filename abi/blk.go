package abi

// Block devices, virtio 1.2 section 5.2.

// Feature bits.
const (
	BlkFSizeMax = 1 << 1  // size_max is valid
	BlkFRO      = 1 << 5  // read-only
	BlkFBlkSize = 1 << 6  // blk_size is valid
	BlkFFlush   = 1 << 9  // flushes are known
	BlkFDiscard = 1 << 13 // discards are known
)

// Offsets in the configuration space.
const (
	BlkConfigCapacity = 0  // le64, sectors of BlkSector bytes
	BlkConfigSizeMax  = 8  // le32, bytes of a segment
	BlkConfigBlkSize  = 20 // le32, bytes
	BlkConfigDiscards = 36 // le32, max_discard_sectors
)

// BlkSector is the unit of addresses in bytes, whatever blk_size is.
const BlkSector = 512

// BlkQueueRequest is the index of the one queue.
const BlkQueueRequest = 0

// Types of requests.
const (
	BlkIn      = 0  // the device writes the data
	BlkOut     = 1  // the device reads the data
	BlkFlush   = 4  //
	BlkGetID   = 8  // the device writes its name, BlkIDLen bytes
	BlkDiscard = 11 // the data is one or more BlkRange
)

// BlkIDLen is the length of a device's name, NUL-padded.
const BlkIDLen = 20

// Status, the last byte of a request.
const (
	BlkOK     = 0
	BlkError  = 1
	BlkUnsupp = 2
)

// BlkHead begins a request.
type BlkHead struct {
	Type   uint32
	_      uint32
	Sector uint64
}

// BlkRange is a range to discard.
type BlkRange struct {
	Sector uint64
	Num    uint32 // sectors
	Flags  uint32
}
