package devices

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/internal/virtq"
)

const (
	blkQueues    = 1
	blkQueueSize = 256
	// blkWorkers is how many requests of a device wait for the medium at once.
	blkWorkers = 8
	// blkThreads are these, and one that looks at the queue.
	blkThreads = blkWorkers + 1
)

// A Disk is what is behind a block device.
type Disk interface {
	block.Device
	// ReadNow is ReadAt if that takes no waiting for the medium; false if it was
	// not done.
	ReadNow(p []byte, off int64) bool
}

// A blk is the back end of a block device (virtio 1.2 section 5.2).
//
// What the page cache does at once (reads of what it has, and writes) is done by
// the vCPU thread itself while the guest rings now and then. What waits for the
// medium is done by goroutines, several at a time, and the guest goes on meanwhile.
// A goroutine that has done such a request, or that a guest calls in which rings
// often, looks at the queue for a while with notifications off: see poll.
type blk struct {
	bus  *Bus
	disk Disk
	name string
	solo bool // guest and monitor share one processor: nobody looks

	mu      sync.Mutex
	q       *virtq.Queue // guarded by mu
	looker  *virtq.Chain // of the goroutine that looks at the queue, notifications off; nil: none
	busy    bool         // it does a request
	slow    int          // requests that wait for the medium, or for a goroutine
	streak  int          // doorbells in a row, or so many to come that do not count
	workers int          // goroutines
	free    int          // goroutines that wait for work, less the work that waits for them
	stopped bool
	work    chan blkRequest
	running sync.WaitGroup

	// The vCPU thread's own.
	chain    virtq.Chain // scratch
	lastBell time.Time
}

// A blkRequest is one that the guest has made, as slices of its memory.
type blkRequest struct {
	look   bool // none: look at the queue
	head   uint16
	kind   uint32
	off    int64
	out    [][]byte // data to write
	in     [][]byte // room for data that is read
	inLen  int
	status []byte // one byte
}

// BlkSpec describes a block device on a disk, with a name of up to 31 bytes.
func BlkSpec(name string, d block.Device) Spec {
	s := Spec{
		Type:       abi.DeviceBlock,
		Name:       name,
		Features:   abi.FVersion1 | abi.FEventIdx | abi.BlkFBlkSize | abi.BlkFFlush | abi.BlkFDiscard,
		QueueSizes: []uint32{abi.BlkQueueRequest: blkQueueSize},
	}
	if d.ReadOnly() {
		s.Features = s.Features&^(abi.BlkFFlush|abi.BlkFDiscard) | abi.BlkFRO
	}
	le := binary.LittleEndian
	le.PutUint64(s.Config[abi.BlkConfigCapacity:], uint64(d.Size()/abi.BlkSector))
	le.PutUint32(s.Config[abi.BlkConfigBlkSize:], uint32(d.SectorSize()))
	le.PutUint32(s.Config[abi.BlkConfigDiscards:], 1<<31)
	return s
}

// AddBlk adds a block device. The disk is the caller's to close after
// [Bus.Stop], which waits for what it is doing.
func (b *Bus) AddBlk(d *abi.Device, disk Disk) error {
	if err := need(d, abi.DeviceBlock, blkQueues, abi.FVersion1|abi.FEventIdx); err != nil {
		return err
	}
	k := &blk{bus: b, disk: disk, name: deviceName(d), solo: oneProcessor(), work: make(chan blkRequest, blkQueueSize+blkThreads)}
	q, err := b.queue(d, abi.BlkQueueRequest, virtq.Both, "requests", k.bell)
	if err != nil {
		return err
	}
	k.q = q
	b.polled = append(b.polled, k)
	b.stops = append(b.stops, k.stop)
	return nil
}

// errBlkRequest is for a chain that is no request: the guest's driver is broken.
var errBlkRequest = errors.New("devices: a request to a block device without a header or a status")

// parse reads what the guest wants. The header is copied first: the guest may
// change it at any time.
func parse(c *virtq.Chain) (r blkRequest, err error) {
	const headLen = int(unsafe.Sizeof(abi.BlkHead{}))
	if len(c.Out) == 0 || len(c.Out[0]) != headLen || c.InLen == 0 {
		return r, errBlkRequest
	}
	var head [headLen]byte
	copy(head[:], c.Out[0])
	le := binary.LittleEndian
	sector := le.Uint64(head[8:])
	r = blkRequest{head: c.Head, kind: le.Uint32(head[0:]), out: c.Out[1:], in: c.In, inLen: c.InLen - 1}
	if r.off = -1; sector < 1<<62/abi.BlkSector {
		r.off = int64(sector) * abi.BlkSector
	}
	// The last byte is the status, in whichever buffer it lies.
	last := r.in[len(r.in)-1]
	r.status = last[len(last)-1:]
	if r.in[len(r.in)-1] = last[:len(last)-1]; len(last) == 1 {
		r.in = r.in[:len(r.in)-1]
	}
	return r, nil
}

// now does what needs no waiting, as do does; false if it would wait.
func (k *blk) now(r *blkRequest) (status byte, n int, ok bool) {
	switch r.kind {
	case abi.BlkIn:
		off := r.off
		if block.Check(k.disk, off, int64(r.inLen)) != nil {
			return abi.BlkError, 0, true // a part of it may be there, and wait
		}
		for _, p := range r.in {
			if !k.disk.ReadNow(p, off) {
				return 0, 0, false
			}
			off += int64(len(p))
		}
		return abi.BlkOK, r.inLen, true
	case abi.BlkFlush, abi.BlkDiscard:
		return 0, 0, false
	}
	status, n = k.do(r)
	return status, n, true
}

// do does a request and returns its status and how many bytes it has for the
// guest. It may wait.
func (k *blk) do(r *blkRequest) (status byte, n int) {
	switch r.kind {
	case abi.BlkIn:
		return statusOf(each(r.in, r.off, k.disk.ReadAt)), r.inLen
	case abi.BlkOut:
		return statusOf(each(r.out, r.off, k.disk.WriteAt)), 0
	case abi.BlkFlush:
		return statusOf(k.disk.Flush()), 0
	case abi.BlkDiscard:
		return statusOf(k.discard(r.out)), 0
	case abi.BlkGetID:
		var id [abi.BlkIDLen]byte
		copy(id[:], k.name)
		for _, p := range r.in {
			n += copy(p, id[n:])
		}
		return abi.BlkOK, n
	}
	return abi.BlkUnsupp, 0
}

// each applies f to buffers that are one behind the other on the disk.
func each(bufs [][]byte, off int64, f func([]byte, int64) error) error {
	for _, p := range bufs {
		if err := f(p, off); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return nil
}

func statusOf(err error) byte {
	if err != nil {
		return abi.BlkError
	}
	return abi.BlkOK
}

// maxRanges bounds the ranges of one discard.
const maxRanges = 256

// discard reads ranges, which are copied first.
func (k *blk) discard(bufs [][]byte) error {
	const size = int(unsafe.Sizeof(abi.BlkRange{}))
	var all []byte
	for _, p := range bufs {
		all = append(all, p[:min(len(p), size*maxRanges+1)]...)
	}
	if len(all) == 0 || len(all)%size != 0 || len(all) > size*maxRanges {
		return block.ErrRange
	}
	le := binary.LittleEndian
	for ; len(all) > 0; all = all[size:] {
		sector, num := le.Uint64(all), le.Uint32(all[8:])
		if sector >= 1<<62/abi.BlkSector {
			return block.ErrRange
		}
		if err := k.disk.Discard(int64(sector)*abi.BlkSector, int64(num)*abi.BlkSector); err != nil {
			return err
		}
	}
	return nil
}
