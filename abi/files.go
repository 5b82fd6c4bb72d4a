package abi

// The files of an image are an archive that the starter maps from the image's
// own file, so that contents come from the host's page cache and cost nothing
// until they are read. It begins with [FilesHead]; integers are little-endian,
// offsets are in bytes from the archive's beginning. Nodes are in breadth-first
// order: node 0 is the root, the children of a directory are neighbours, sorted
// by name, and come after it.
const (
	FilesMagic   = 0x53454c4946524c54 // "TLRFILES"
	FilesVersion = 1

	// FilesHeadSize and FileNodeSize are the lengths of the structs in bytes.
	FilesHeadSize = 56
	FileNodeSize  = 40
)

// FilesHead is the head of the archive.
type FilesHead struct {
	Magic     uint64
	Version   uint32
	NumNodes  uint32
	NumMounts uint32
	_         uint32
	Nodes     uint64 // offset of [NumNodes]FileNode
	Mounts    uint64 // offset of [NumMounts]uint32: the nodes that --file named
	Texts     uint64 // offset of the names and the targets of links
	TextsLen  uint64 // bytes
}

// FileNode describes one file, directory or symbolic link.
type FileNode struct {
	Mode    uint32 // type and permissions, as in stat(2)
	Parent  uint32 // node that it is in, before it; 0 for the root
	Name    uint32 // offset in the texts
	NameLen uint32
	Mtime   int64 // seconds since 1970
	// Start and Size are of a file the offset of its contents and their bytes
	// (at a multiple of [PageSize], with zeros to the end of the last page, if
	// it has at least that many), of a directory its first child and how many
	// it has, and of a link the offset of its target in the texts and its bytes.
	Start, Size uint64
}
