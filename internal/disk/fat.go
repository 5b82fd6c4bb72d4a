package disk

import (
	"encoding/binary"

	"github.com/tailor-os/tailor/internal/disk/loader"
)

// The EFI system partition is FAT16 as Microsoft's specification of FAT has it
// (fatgen103), with every part on whole blocks, since the second stage reads
// blocks:
//
//	block 0             boot sector, three reserved sectors
//	block 1             FAT, and a copy of it
//	                    root directory, 512 entries
//	                    clusters: \EFI, \EFI\BOOT, TAILOR.TXT, BOOTX64.EFI
const (
	rootEntries  = 512
	rootBlocks   = rootEntries * dirEntryBytes / block
	minClusters  = 4200  // FAT16 has 4085 at the least
	maxClusters  = 65000 // and 65524 at the most
	freeClusters = 64    // so that TAILOR.TXT can grow
	firstCluster = 2
	chainEnd     = 0xffff
)

// A fat is a partition with its files, and where things are in it, in blocks.
type fat struct {
	content
	clusterBlocks int64
	clusters      int64 // in all
	fatBlocks     int64 // of one of the two FATs
	dataBlock     int64 // of the first cluster
	table         []uint16
	next          uint16 // first free cluster

	payload int64 // the program's first block
	params  int64 // block of TAILOR.TXT
	paramsN int64 // its bytes
}

// makeESP returns the partition for a program and its command line.
func makeESP(k *kernel, params string) *fat {
	efi, payload := makeEFI(k)
	text := []byte(params + "\n")
	f := newFAT(int64(len(efi)) + int64(len(text)))

	root := f.dataBlock - rootBlocks
	efiDir := f.allocate(dirEntryBytes * 3)
	bootDir := f.allocate(dirEntryBytes * 3)
	textAt := f.allocate(int64(len(text)))
	efiAt := f.allocate(int64(len(efi)))

	f.add(0, f.bootSector(loader.Sums(k.data)[1]))
	f.add(block, f.encodeTable())
	f.add((1+f.fatBlocks)*block, f.encodeTable())
	f.add(root*block, directory(
		dirEntry{"TAILOR     ", attrLabel, 0, 0},
		dirEntry{"EFI        ", attrDirectory, efiDir, 0},
		dirEntry{"TAILOR  TXT", 0, textAt, len(text)}))
	f.add(f.block(efiDir)*block, directory(dots(efiDir, 0,
		dirEntry{"BOOT       ", attrDirectory, bootDir, 0})...))
	f.add(f.block(bootDir)*block, directory(dots(bootDir, efiDir,
		dirEntry{"BOOTX64 EFI", 0, efiAt, len(efi)})...))
	f.add(f.block(textAt)*block, text)
	f.add(f.block(efiAt)*block, efi)

	f.payload = f.block(efiAt) + payload/block
	f.params, f.paramsN = f.block(textAt), int64(len(text))
	return f
}

// newFAT returns an empty partition with room for files of n bytes, in two
// clusters more than that at the most, and some more.
func newFAT(n int64) *fat {
	f := &fat{clusterBlocks: 1, next: firstCluster}
	for n/(f.clusterBlocks*block)+freeClusters > maxClusters {
		f.clusterBlocks *= 2
	}
	f.clusters = max(minClusters, n/(f.clusterBlocks*block)+freeClusters)
	entries := f.clusters + firstCluster
	f.fatBlocks = (entries*2 + block - 1) / block
	f.dataBlock = 1 + 2*f.fatBlocks + rootBlocks
	f.size = (f.dataBlock + f.clusters*f.clusterBlocks) * block
	f.table = make([]uint16, f.fatBlocks*block/2)
	f.table[0], f.table[1] = 0xfff8, chainEnd // media type of a disk; clean
	return f
}

// block returns the first block of a cluster.
func (f *fat) block(cluster uint16) int64 {
	return f.dataBlock + int64(cluster-firstCluster)*f.clusterBlocks
}

// allocate chains clusters for n bytes and returns the first.
func (f *fat) allocate(n int64) uint16 {
	first, size := f.next, f.clusterBlocks*block
	for ; n > size; n -= size {
		f.table[f.next] = f.next + 1
		f.next++
	}
	f.table[f.next] = chainEnd
	f.next++
	return first
}

func (f *fat) encodeTable() []byte { return appendLE(nil, f.table[:f.next]) }

// forBIOS returns what the second stage must know.
func (f *fat) forBIOS() loader.Disk {
	const start = espOffset / block
	return loader.Disk{
		Payload: uint32(start + f.payload), FAT: start + 1,
		Root: uint32(start + f.dataBlock - rootBlocks), Data: uint32(start + f.dataBlock), Cluster: uint32(f.clusterBlocks),
	}
}

// bootSector returns the sector that describes the partition. It boots nothing.
func (f *fat) bootSector(serial uint32) []byte {
	const perBlock = block / sector
	b := make([]byte, sector)
	copy(b, "\xeb\x3c\x90TAILOR  ")
	le := binary.LittleEndian
	le.PutUint16(b[11:], sector)
	b[13] = byte(f.clusterBlocks * perBlock)
	le.PutUint16(b[14:], perBlock) // reserved sectors
	b[16] = 2                      // FATs
	le.PutUint16(b[17:], rootEntries)
	sectors := f.size / sector
	if sectors < 0x10000 {
		le.PutUint16(b[19:], uint16(sectors))
	} else {
		le.PutUint32(b[32:], uint32(sectors))
	}
	b[21] = 0xf8
	le.PutUint16(b[22:], uint16(f.fatBlocks*perBlock))
	le.PutUint16(b[24:], 63)  // sectors a track, for who still asks
	le.PutUint16(b[26:], 255) // heads
	le.PutUint32(b[28:], espOffset/sector)
	b[36], b[38] = 0x80, 0x29
	le.PutUint32(b[39:], serial)
	copy(b[43:], "TAILOR     FAT16   ")
	copy(b[62:], "\xcd\x18\xeb\xfe") // INT 18h: the BIOS shall try the next device
	b[510], b[511] = 0x55, 0xaa
	return b
}

const dirEntryBytes = 32

// Attributes of directory entries.
const (
	attrLabel     = 0x08
	attrDirectory = 0x10
)

// firstDay is 1 January 1980 in FAT's form: every file is of that day.
const firstDay = 1<<5 | 1

type dirEntry struct {
	name    string // 11 characters
	attr    byte
	cluster uint16
	size    int
}

// dots returns the entries of a directory with those that all but the root have.
func dots(self, parent uint16, entries ...dirEntry) []dirEntry {
	return append([]dirEntry{
		{".          ", attrDirectory, self, 0},
		{"..         ", attrDirectory, parent, 0},
	}, entries...)
}

func directory(entries ...dirEntry) []byte {
	b := make([]byte, len(entries)*dirEntryBytes)
	for i, e := range entries {
		d := b[i*dirEntryBytes:]
		copy(d, e.name)
		d[11] = e.attr
		le := binary.LittleEndian
		le.PutUint16(d[16:], firstDay) // created
		le.PutUint16(d[18:], firstDay) // read
		le.PutUint16(d[24:], firstDay) // written
		le.PutUint16(d[26:], e.cluster)
		le.PutUint32(d[28:], uint32(e.size))
	}
	return b
}
