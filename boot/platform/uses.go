package platform

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/params"
	"github.com/tailor-os/tailor/virtio/transport"
)

// A use is what a type of device is wanted for.
type use struct {
	typ   uint32
	most  int // devices that there are drivers for
	wants transport.Wants
}

// blockDevices is how many block devices are taken into use.
var blockDevices = func() int {
	if volumes {
		return 12
	}
	return 0
}()

// The uses. The first console is standard input and output, a second one
// standard error; each has one port, two queues (virtio 1.2 section 5.3.2).
var uses = [...]use{
	{typ: abi.DeviceNet, most: params.MaxCards, wants: transport.Wants{
		Features: netFeatures, Queues: 2, MaxSize: 1024,
		Config: []transport.Field{
			{Offset: 0, Width: 1, Feature: abi.NetFMAC}, {Offset: 1, Width: 1, Feature: abi.NetFMAC},
			{Offset: 2, Width: 1, Feature: abi.NetFMAC}, {Offset: 3, Width: 1, Feature: abi.NetFMAC},
			{Offset: 4, Width: 1, Feature: abi.NetFMAC}, {Offset: 5, Width: 1, Feature: abi.NetFMAC},
			{Offset: 10, Width: 2, Feature: abi.NetFMTU},
		},
	}},
	{typ: abi.DeviceConsole, most: 2, wants: transport.Wants{Features: eventIdx, Queues: 2, MaxSize: 64}},
	{typ: abi.DeviceBlock, most: blockDevices, wants: transport.Wants{
		Features: blockFeatures, Queues: 1, MaxSize: 256,
		Config: []transport.Field{
			{Offset: abi.BlkConfigCapacity, Width: 2}, {Offset: abi.BlkConfigCapacity + 2, Width: 2},
			{Offset: abi.BlkConfigCapacity + 4, Width: 2}, {Offset: abi.BlkConfigCapacity + 6, Width: 2},
			{Offset: abi.BlkConfigSizeMax, Width: 2, Feature: abi.BlkFSizeMax}, {Offset: abi.BlkConfigSizeMax + 2, Width: 2, Feature: abi.BlkFSizeMax},
			{Offset: abi.BlkConfigBlkSize, Width: 2, Feature: abi.BlkFBlkSize}, {Offset: abi.BlkConfigBlkSize + 2, Width: 2, Feature: abi.BlkFBlkSize},
			{Offset: abi.BlkConfigDiscards, Width: 2, Feature: abi.BlkFDiscard}, {Offset: abi.BlkConfigDiscards + 2, Width: 2, Feature: abi.BlkFDiscard},
		},
	}},
	{typ: abi.DeviceRNG, most: 1, wants: transport.Wants{Features: eventIdx, Queues: 1, MaxSize: 8}},
}

func useOf(typ uint32) *use {
	for i := range uses {
		if uses[i].typ == typ {
			return &uses[i]
		}
	}
	return nil
}

// blockFeatures are those that package blkdev knows.
func blockFeatures(offered uint64) uint64 {
	return offered & (abi.FEventIdx | abi.BlkFSizeMax | abi.BlkFRO | abi.BlkFBlkSize | abi.BlkFFlush | abi.BlkFDiscard)
}

func eventIdx(offered uint64) uint64 { return offered & abi.FEventIdx }

// netFeatures are those that package netdev knows, without those of which what
// they build on is not offered (virtio 1.2 section 5.1.3.1).
func netFeatures(offered uint64) uint64 {
	f := offered & (abi.FEventIdx | abi.NetFMAC | abi.NetFMTU | abi.NetFMrgRxBuf |
		abi.NetFCsum | abi.NetFGuestCsum |
		abi.NetFGuestTSO4 | abi.NetFGuestTSO6 | abi.NetFHostTSO4 | abi.NetFHostTSO6)
	if f&abi.NetFCsum == 0 {
		f &^= abi.NetFHostTSO4 | abi.NetFHostTSO6
	}
	if f&abi.NetFGuestCsum == 0 {
		f &^= abi.NetFGuestTSO4 | abi.NetFGuestTSO6
	}
	return f
}

// setMAC gives a network device that has no usable address a random one, of
// those that anybody may give (IEEE 802, section 8.2).
func setMAC(d *abi.Device, random func(p []byte)) {
	mac := d.Config[:6]
	any := byte(0)
	for _, b := range mac {
		any |= b
	}
	if d.Features&abi.NetFMAC != 0 && any != 0 && mac[0]&1 == 0 {
		return
	}
	random(mac)
	mac[0] = mac[0]&^1 | 2
	d.Features |= abi.NetFMAC
}
