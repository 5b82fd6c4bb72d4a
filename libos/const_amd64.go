package libos

// Constants whose values differ between architectures (arch/x86 and
// asm-generic headers).
const (
	oDIRECT    = 0x4000
	oLARGEFILE = 0x8000
	oDIRECTORY = 0x10000
	oNOFOLLOW  = 0x20000

	machineName = "x86_64"
)

// stat is struct stat (arch/x86/include/uapi/asm/stat.h).
type stat struct {
	dev, ino, nlink     uint64
	mode, uid, gid      uint32
	_                   uint32
	rdev                uint64
	size, blksize       int64
	blocks              int64
	atime, mtime, ctime Time
	_                   [3]int64
}

// epollEvent is struct epoll_event, packed on amd64 only.
type epollEvent struct {
	events uint32
	data   [2]uint32
}
