package devices

import (
	"encoding/binary"
	"fmt"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
)

// Offsets in the configuration space of a network device, virtio 1.2 section
// 5.1.4.
const (
	netConfigMAC = 0
	netConfigMTU = 10
)

// Queue sizes. A packet of 64 KiB that the guest receives takes 33 buffers of 2
// KiB: with 1024 some 30 of them, or twice TCP's usual window, are on the way,
// so that on one processor the two sides take turns seldom.
const (
	consoleQueueSize = 64
	netQueueSize     = 1024
	fsQueueSize      = 64
	fsHiPrioSize     = 8
)

// ringAlign is the alignment in bytes of each part of a queue: what one side
// writes and what the other one writes do not share a cache line.
const ringAlign = 64

// A Spec describes a device that a guest is to have.
type Spec struct {
	Type       uint32 // abi.Device*
	Name       string // at most 31 bytes
	Features   uint64
	QueueSizes []uint32
	Config     [64]byte
}

// ConsoleSpec describes the console device.
func ConsoleSpec() Spec {
	return Spec{
		Type:       abi.DeviceConsole,
		Name:       "console",
		Features:   abi.FVersion1 | abi.FEventIdx,
		QueueSizes: []uint32{ConsoleIn: consoleQueueSize, ConsoleOut: consoleQueueSize, ConsoleErr: consoleQueueSize},
	}
}

// Offloads is the set of features for checksum and segmentation offload in both
// directions, which a tap with TUN_F_CSUM, TSO4 and TSO6 offers.
const Offloads = abi.NetFCsum | abi.NetFGuestCsum |
	abi.NetFGuestTSO4 | abi.NetFGuestTSO6 | abi.NetFHostTSO4 | abi.NetFHostTSO6

// NetSpec describes a network device with an Ethernet address and a maximum
// packet size in bytes without the Ethernet header. features is [Offloads], a
// part of it, or 0: what the file descriptor behind the device can do.
func NetSpec(name string, mac [6]byte, mtu uint16, features uint64) Spec {
	s := Spec{
		Type:       abi.DeviceNet,
		Name:       name,
		Features:   netFeatures | abi.NetFMAC | abi.NetFMTU | features&Offloads,
		QueueSizes: []uint32{abi.NetQueueRX: netQueueSize, abi.NetQueueTX: netQueueSize},
	}
	copy(s.Config[netConfigMAC:], mac[:])
	binary.LittleEndian.PutUint16(s.Config[netConfigMTU:], mtu)
	return s
}

// FSSpec describes a file system device with a tag of up to 31 bytes, by which
// the guest knows it.
func FSSpec(tag string) Spec {
	s := Spec{
		Type:       abi.DeviceFS,
		Name:       tag,
		Features:   abi.FVersion1 | abi.FEventIdx,
		QueueSizes: []uint32{abi.FSQueueHiPrio: fsHiPrioSize, abi.FSQueueRequest: fsQueueSize},
	}
	copy(s.Config[:abi.FSTagLen], tag)
	binary.LittleEndian.PutUint32(s.Config[abi.FSTagLen:], fsQueues-1)
	return s
}

// Layout places the queues of devices, in order, between the guest-physical
// addresses start and end ([abi.RingAddr] and [abi.RingEnd] in a guest), and
// numbers their notifications from 0. It fails if they do not fit.
func Layout(start, end uint64, specs ...Spec) ([]abi.Device, error) {
	devs := make([]abi.Device, len(specs))
	at, notify := start, uint32(0)
	for i := range specs {
		s, d := &specs[i], &devs[i]
		if len(s.Name) >= len(d.Name) || len(s.QueueSizes) > len(d.Queues) {
			return nil, fmt.Errorf("devices: %q: name of %d bytes or %d queues are too many (%d, %d)",
				s.Name, len(s.Name), len(s.QueueSizes), len(d.Name)-1, len(d.Queues))
		}
		*d = abi.Device{Type: s.Type, NumQueues: uint32(len(s.QueueSizes)), Features: s.Features, Config: s.Config}
		copy(d.Name[:], s.Name)
		for k, size := range s.QueueSizes {
			at = place(&d.Queues[k], at, size)
			d.Queues[k].Notify = notify
			notify++
			if err := virtio.CheckQueue(&d.Queues[k]); err != nil {
				return nil, fmt.Errorf("devices: %s: queue %d: %w", s.Name, k, err)
			}
		}
		if at > end {
			return nil, fmt.Errorf("devices: the queues of %s end at %#x, beyond the %#x bytes there are for rings; use fewer devices",
				s.Name, at, end-start)
		}
	}
	return devs, nil
}

// place assigns the addresses of a queue's parts from at on, and returns the
// first address behind them.
func place(q *abi.Queue, at uint64, size uint32) uint64 {
	next := func(n uint64) uint64 {
		at = (at + ringAlign - 1) &^ (ringAlign - 1)
		at += n
		return at - n
	}
	q.Size = size
	q.Desc = next(virtio.DescBytes(size))
	q.Avail = next(virtio.AvailBytes(size))
	q.Used = next(virtio.UsedBytes(size))
	return at
}
