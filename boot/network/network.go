//go:build tailoros

// Package network brings the network up before main: the TCP/IP stack on the
// first network device the starter offers, configured by the boot parameters.
// It is linked into images whose program imports net.
package network

import (
	"errors"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/netstack"
	"github.com/tailor-os/tailor/virtio/netdev"
	"github.com/tailor-os/tailor/virtio/queue"
)

// SAFETY: the addresses converted to pointers in this file are the starter's, of
// memory outside the Go heap that is never freed.

//go:linkname bootInfo runtime.tailor_bootInfo
func bootInfo() *abi.BootInfo

//go:linkname device runtime.tailor_device
func device(typ uint32, n int) *abi.Device

//go:linkname bell runtime.tailor_bellNetwork
func bell(queue uint32)

//go:linkname irqRegister runtime.tailor_irqRegister
func irqRegister(used *uint32, event *uint16) int

//go:linkname irqWait runtime.tailor_irqWait
func irqWait(n int, seen uint16, foreground bool)

func init() {
	if err := start(string(libos.BootParams())); err != nil {
		println("tailor: network:", err.Error())
	}
}

func start(params string) error {
	if dhcp {
		netstack.UseDHCP()
	}
	d := device(abi.DeviceNet, 0)
	p := libos.Params(params)
	addressed := p.Get("ip") != "" || p.Get("ip6") != ""
	if d == nil {
		err := netstack.Start(nil, params)
		if err == nil && addressed && p.Get("ip") != "none" {
			err = errors.New("the machine has no network device, or none that can be used, for the address given by ip=")
		}
		return err
	}
	if !addressed && !dhcp && bootInfo().Platform != 0 {
		println("tailor: network: the device has no address; give it one by the boot parameters ip=ADDRESS/BITS and gw=ADDRESS")
	}
	dev, err := netdev.New(d, netdev.Config{
		Notify: bell,
		Waiter: waiter{},
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

// waiter parks a driver's goroutine in the scheduler's event loop.
type waiter struct{}

// irqs are the event loop's numbers of the queues that have been waited for.
var irqs = map[*queue.Waitable]int{}

func (waiter) Wait(w *queue.Waitable) {
	n, ok := irqs[w]
	if !ok {
		// The index is the upper half of the word that begins with flags.
		n = irqRegister((*uint32)(unsafe.Add(unsafe.Pointer(w.UsedIdx), -2)), w.UsedEvent)
		if n < 0 {
			panic("tailor: too many virtqueues")
		}
		irqs[w] = n
	}
	irqWait(n, w.Seen, false)
}
