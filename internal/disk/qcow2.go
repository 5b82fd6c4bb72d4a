package disk

import (
	"encoding/binary"
	"io"
)

// A qcow2 file (QEMU's docs/interop/qcow2.txt, version 3) is clusters: the
// header, a table of reference counts and its blocks, two levels of tables from
// the disk's clusters to the file's, and those of the disk that are not zero.
const (
	clusterBits  = 16
	clusterBytes = 1 << clusterBits
	l2Entries    = clusterBytes / 8
	refEntries   = clusterBytes / 2 // of 16 bits
	copied       = 1 << 63          // "refcount is exactly one"
)

type qcow2Header struct {
	Magic, Version       uint32
	BackingOffset        uint64
	BackingSize          uint32
	ClusterBits          uint32
	Size                 uint64
	Crypt, L1Size        uint32
	L1Offset             uint64
	RefTableOffset       uint64
	RefTableClusters     uint32
	Snapshots            uint32
	SnapshotsOffset      uint64
	Incompatible         uint64
	Compatible           uint64
	Autoclear            uint64
	RefOrder, HeaderSize uint32
}

// A qcow2Map says where in a file things are, in clusters. The header is cluster
// 0, the table of reference counts 1.
type qcow2Map struct {
	refBlocks, l1, l2, data int64
	used                    []int64 // clusters of the disk that are not zero, ascending
	total                   int64
	l2Tables                int64
}

func (c *content) mapQCOW2() qcow2Map {
	m := qcow2Map{refBlocks: 2}
	buf := make([]byte, clusterBytes)
	for n := int64(0); n*clusterBytes < c.size; n++ {
		if c.fill(buf, n*clusterBytes) {
			m.used = append(m.used, n)
		}
	}
	m.l2Tables = (c.size + clusterBytes*l2Entries - 1) / (clusterBytes * l2Entries)
	rest := 2 + 1 + m.l2Tables + int64(len(m.used))
	blocks := int64(1)
	for blocks*refEntries < rest+blocks {
		blocks++
	}
	m.l1 = m.refBlocks + blocks
	m.l2 = m.l1 + 1
	m.data = m.l2 + m.l2Tables
	m.total = rest + blocks
	return m
}

// writeQCOW2 writes the disk as a qcow2 file. One cluster is enough for the
// first level and for the table of reference counts
// of a disk of 2 GiB.
func (c *content) writeQCOW2(w io.Writer) error {
	m := c.mapQCOW2()
	h := qcow2Header{
		Magic: 0x514649fb, Version: 3, ClusterBits: clusterBits, Size: uint64(c.size),
		L1Size: uint32(m.l2Tables), L1Offset: uint64(m.l1 * clusterBytes),
		RefTableOffset: clusterBytes, RefTableClusters: 1, RefOrder: 4, HeaderSize: 104,
	}
	head, _ := binary.Append(nil, binary.BigEndian, h)
	for _, part := range [][]byte{
		whole(head), whole(pointers(m.refBlocks, m.l1-m.refBlocks, 0)), m.refCounts(),
		whole(pointers(m.l2, m.l2Tables, copied)), m.level2(),
	} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	buf := make([]byte, clusterBytes)
	for _, n := range m.used {
		c.fill(buf, n*clusterBytes)
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// whole pads b to whole clusters.
func whole(b []byte) []byte {
	return append(b, make([]byte, -len(b)&(clusterBytes-1))...)
}

// pointers returns a table of n clusters from first on.
func pointers(first, n int64, flags uint64) []byte {
	var b []byte
	for i := range n {
		b = binary.BigEndian.AppendUint64(b, uint64((first+i)*clusterBytes)|flags)
	}
	return b
}

// refCounts returns the blocks of reference counts: one for each cluster.
func (m *qcow2Map) refCounts() []byte {
	var b []byte
	for range m.total {
		b = binary.BigEndian.AppendUint16(b, 1)
	}
	return whole(b)
}

// level2 returns all second-level tables.
func (m *qcow2Map) level2() []byte {
	b := make([]byte, m.l2Tables*clusterBytes)
	for i, n := range m.used {
		binary.BigEndian.PutUint64(b[n*8:], uint64((m.data+int64(i))*clusterBytes)|copied)
	}
	return b
}
