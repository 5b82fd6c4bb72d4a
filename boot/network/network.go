//go:build tailoros

// Package network brings the network up before main: the TCP/IP stack on the
// network devices the starter offers, configured by the boot parameters.
// It is linked into images whose program imports net.
package network

import (
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/netstack"
	"github.com/tailor-os/tailor/params"
	"github.com/tailor-os/tailor/virtio/netdev"
)

//go:linkname bootInfo runtime.tailor_bootInfo
func bootInfo() *abi.BootInfo

//go:linkname bell runtime.tailor_bellNetwork
func bell(queue uint32)

func init() {
	if err := start(string(libos.BootParams())); err != nil {
		println("tailor: network:", err.Error())
	}
}

func start(words string) error {
	if dhcp {
		netstack.UseDHCP(secret())
	}
	var cards [params.MaxCards]netstack.Device
	found := false
	for n := range cards {
		d := event.Device(abi.DeviceNet, n)
		if d == nil {
			break
		}
		dev, err := netdev.New(d, netdev.Config{
			Notify: bell,
			Waiter: event.Waiter{Background: true},
			Broken: func(err error) { broken(n, err) },
		})
		if err != nil {
			println("tailor: network:", err.Error())
			continue
		}
		cards[n], found = dev, true
	}
	p := libos.Params(words)
	if found && p.Get("ip") == "" && p.Get("ip6") == "" && !dhcp && bootInfo().Platform != 0 {
		println("tailor: network: the device has no address; give it one by the boot parameters ip=ADDRESS/BITS and gw=ADDRESS")
	}
	return netstack.Start(cards[0], words, cards[1:]...)
}

// broken is called once for a device if the host breaks the virtio protocol.
func broken(n int, err error) {
	println("tailor: network:", err.Error())
	if s, e := netstack.Default(); e == nil {
		s.Broken(n)
	}
}
