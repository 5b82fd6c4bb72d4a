// Package netdev is the driver of a virtio network device (virtio 1.2 section
// 5.1) whose features and queues the starter has set up already.
//
// Packets are not copied: the device reads transmitted ones out of the stack's
// own memory, which is held until it is through with them, and writes received
// ones into buffers that become the stack's. Only what is small is copied, so
// that a short packet does not pin a large buffer.
//
// The device is not trusted. What it says is checked by package queue (which
// buffers, how many bytes) and here (headers, number of buffers); after a lie
// about either the device is broken for good: it is reported once and never
// touched again, and [Device.Send] refuses. A header that contradicts its
// packet costs that packet only, for the host may have it from a peer.
//
// # Goroutines
//
// One goroutine, started by [Device.Run], receives: it parks in Config.Waiter
// while nothing comes. A second one sleeps until the transmit ring is full, and
// then posts what waits as the device makes room. Sent packets are released
// when more are sent or received.
package netdev

import (
	"encoding/binary"
	"errors"
	"sync"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio"
	"github.com/tailor-os/tailor/virtio/queue"
	"gvisor.dev/gvisor/pkg/buffer"
)

// Offsets in the configuration space, virtio 1.2 section 5.1.4.
const (
	configMAC = 0
	configMTU = 10
)

// DefaultMTU is the MTU in bytes of a device that says none.
const DefaultMTU = 1500

// minMTU is the least MTU in bytes that IPv4 allows (RFC 791 section 3.2), of a
// device that says nonsense.
const minMTU = 68

// ethernetHeader is the length in bytes of the header before each packet's
// payload, which the MTU does not count.
const ethernetHeader = 14

// maxPacket is the longest packet in bytes, without the virtio header: one IP
// packet, its Ethernet header and a VLAN tag.
const maxPacket = 65535 + ethernetHeader + 4

// A Packet is one to be transmitted. Its methods are called with the device's
// lock held, so they must not call the device.
type Packet interface {
	// Parts appends the packet's pieces to dst. The first one starts with
	// virtio.NetHdrLen bytes which the driver overwrites; the pieces must not
	// change any more.
	Parts(dst [][]byte) [][]byte
	// Header describes the offloads wanted: a packet leaves with its checksum
	// complete or with NetHdrNeedsCsum and the place to put it.
	Header() virtio.NetHdr
	// Keep returns the packet with a reference of its own, for one that has to
	// wait for room.
	Keep() Packet
	// Hold returns what keeps the pieces in place while the device reads them.
	Hold() Packet
	// Release ends what Keep or Hold began.
	Release()
}

// A Receiver takes a packet that came in, Ethernet header first; buf is its
// own. With validated set, the transport checksum need not be checked. It is
// called on one goroutine and should not block for long.
type Receiver func(buf buffer.Buffer, validated bool)

// Config says how a device reaches the world.
type Config struct {
	// Origin is where guest-physical address 0 is mapped, see queue.Config.
	Origin unsafe.Pointer
	// Notify rings the doorbell.
	Notify func(value uint32)
	// Waiter parks a goroutine until a queue has something to reap.
	Waiter queue.Waiter
	// Broken is called once when the device turns out to be broken, on any
	// goroutine, with no lock held. It may be nil.
	Broken func(error)
}

// Errors for which a device is refused or broken.
var (
	ErrNotNet      = errors.New("netdev: device is not a network device")
	ErrQueues      = errors.New("netdev: network device lacks a receive or a transmit queue")
	ErrVersion     = errors.New("netdev: network device without VIRTIO_F_VERSION_1 is not supported")
	ErrHeaderShort = errors.New("netdev: device returned a receive buffer shorter than the packet header")
	ErrNumBuffers  = errors.New("netdev: device merged an impossible number of receive buffers")
	ErrPacketLong  = errors.New("netdev: device merged receive buffers into more than an IP packet")
)

// A Device is a running network device. Its methods may be called concurrently.
type Device struct {
	features uint64
	mac      [6]byte
	mtu      int
	waiter   queue.Waiter
	onBroken func(error)
	failed   sync.Once

	rx receiver
	tx transmitter
}

// New takes over a device. It touches the rings only in Run and Send.
func New(d *abi.Device, c Config) (*Device, error) {
	switch {
	case d.Type != abi.DeviceNet:
		return nil, ErrNotNet
	case d.NumQueues < 2:
		return nil, ErrQueues
	case d.Features&abi.FVersion1 == 0:
		return nil, ErrVersion
	}
	dev := &Device{features: d.Features, mtu: DefaultMTU, waiter: c.Waiter, onBroken: c.Broken}
	if d.Features&abi.NetFMAC != 0 {
		dev.mac = [6]byte(d.Config[configMAC:])
	}
	if d.Features&abi.NetFMTU != 0 {
		dev.mtu = max(minMTU, int(binary.LittleEndian.Uint16(d.Config[configMTU:])))
	}
	qc := queue.Config{Origin: c.Origin, Notify: c.Notify, NoEventIdx: !dev.has(abi.FEventIdx)}
	rq, err := queue.New(&d.Queues[abi.NetQueueRX], qc)
	if err != nil {
		return nil, err
	}
	tq, err := queue.New(&d.Queues[abi.NetQueueTX], qc)
	if err != nil {
		return nil, err
	}
	dev.rx.init(rq, dev)
	dev.tx.init(tq)
	return dev, nil
}

// has reports whether all of the features were negotiated.
func (d *Device) has(features uint64) bool { return d.features&features == features }

// MAC returns the device's address, all zero if it has none.
func (d *Device) MAC() [6]byte { return d.mac }

// MTU returns the largest packet in bytes, without Ethernet header.
func (d *Device) MTU() int { return d.mtu }

// TSO reports whether the device takes TCP packets of up to 64 KiB, over IPv4
// and IPv6, and completes their checksums.
func (d *Device) TSO() bool {
	return d.has(abi.NetFCsum | abi.NetFHostTSO4 | abi.NetFHostTSO6)
}

// Run makes receive buffers available and starts to receive. It is called once.
func (d *Device) Run(r Receiver) error {
	if err := d.rx.grow(d.rx.first); err != nil {
		return err
	}
	d.rx.q.Publish()
	go d.receive(r)
	go d.drain()
	return nil
}

// fail takes the device out of service.
func (d *Device) fail(err error) {
	d.failed.Do(func() {
		d.tx.stop(err)
		if d.onBroken != nil {
			d.onBroken(err)
		}
	})
}
