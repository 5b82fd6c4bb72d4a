//go:build tailoros

// Package network brings the network up before main: the TCP/IP stack on the
// first network device the starter offers, configured by the boot parameters.
// It is linked into images whose program imports net.
package network

import (
	"errors"
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/netstack"
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

func start(params string) error {
	if dhcp {
		netstack.UseDHCP(secret())
	}
	d := event.Device(abi.DeviceNet, 0)
	p := libos.Params(params)
	given := "" // the parameter that gives an address
	switch ip := p.Get("ip"); {
	case ip != "" && ip != "none":
		given = "ip="
	case p.Get("ip6") != "":
		given = "ip6="
	}
	if d == nil {
		err := netstack.Start(nil, params)
		if err == nil && given != "" {
			err = errors.New("the machine has no network device, or none that can be used, for the address given by " + given)
		}
		return err
	}
	if given == "" && p.Get("ip") == "" && !dhcp && bootInfo().Platform != 0 {
		println("tailor: network: the device has no address; give it one by the boot parameters ip=ADDRESS/BITS and gw=ADDRESS")
	}
	dev, err := netdev.New(d, netdev.Config{
		Notify: bell,
		Waiter: event.Waiter{Background: true},
		Broken: broken,
	})
	if err != nil {
		return err
	}
	return netstack.Start(dev, params)
}

// broken is called once if the host breaks the virtio protocol.
func broken(err error) {
	println("tailor: network:", err.Error())
	if s, e := netstack.Default(); e == nil {
		s.Broken(err)
	}
}
