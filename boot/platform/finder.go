// Package platform finds the devices of a machine that no monitor of Tailor's
// has laid out, and takes them into use: virtio-mmio devices that a boot
// parameter or ACPI names, then those on the PCI bus. It also finds out how the
// machine is switched off. It is linked beneath package syscall into images of
// target virtio.
//
// What is wrong with a device is said in one line, and the device is left out.
package platform

import (
	"strconv"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/virtio/mmio"
	"github.com/tailor-os/tailor/virtio/pci"
	"github.com/tailor-os/tailor/virtio/transport"
)

// A Machine is what a Finder needs of the machine. Queues are numbered from 0
// over all devices, as abi.Queue.Notify has it.
type Machine interface {
	transport.Memory
	pci.Ports
	// Map makes registers reachable; false if they cannot be.
	Map(addr, bytes uint64) bool
	// Alloc returns the address of zeroed memory for a device, or 0.
	Alloc(bytes, align uint64) uint64
	// Add gives a device to its driver.
	Add(d *abi.Device)
	// SetBell says how the device of a queue is notified.
	SetBell(queue uint32, b transport.Bell)
	// SetAck says how an interrupt of that pin is ended: what is read at status
	// is written to ack.
	SetAck(pin uint32, status, ack uint64)
	// Say prints a line. Note does so only if the user wants to know more.
	Say(line string)
	Note(line string)
}

// A Finder finds devices.
type Finder struct {
	m      Machine
	queues uint32
	have   map[uint32]int // devices in use, by type
	seen   []uint64       // virtio-mmio devices that were looked at, by address
}

// NewFinder returns a Finder that has found nothing yet.
func NewFinder(m Machine) *Finder { return &Finder{m: m, have: map[uint32]int{}} }

// Have returns how many devices of a type are in use.
func (f *Finder) Have(typ uint32) int { return f.have[typ] }

// MMIO looks at virtio-mmio devices. With listed set they are only places where
// one may be; without, the user named them.
func (f *Finder) MMIO(places []mmio.Place, listed bool) {
	for _, p := range places {
		if !f.known(p.Base) {
			f.mmio(p, listed)
		}
	}
}

// known reports whether an address was looked at, and notes it.
func (f *Finder) known(base uint64) bool {
	for _, s := range f.seen {
		if s == base {
			return true
		}
	}
	f.seen = append(f.seen, base)
	return false
}

func (f *Finder) mmio(p mmio.Place, listed bool) {
	name := "virtio-mmio device at 0x" + strconv.FormatUint(p.Base, 16)
	if !f.m.Map(p.Base, p.Size) {
		f.m.Say(name + " cannot be mapped")
		return
	}
	d, err := mmio.Open(f.m, p.Base, p.Size)
	switch {
	case err == mmio.ErrNone && listed:
		return
	case err != nil:
		f.m.Say(name + " " + err.Error())
		return
	case p.IRQ >= abi.NumPins:
		f.m.Say(name + " has interrupt " + strconv.Itoa(int(p.IRQ)) + ", which no I/O APIC has")
		return
	}
	if u := f.wants(name, d.Type()); u != nil {
		// Before the device may interrupt: the pin is edge-triggered.
		status, ack := d.Ack()
		f.m.SetAck(p.IRQ, status, ack)
		f.use(name, d, u)
	}
}

// PCI looks at what is on the PCI bus, if there is one.
func (f *Finder) PCI() {
	pci.Scan(f.m, func(fn *pci.Function) {
		typ := fn.VirtioType()
		if typ == 0 {
			return
		}
		name := "PCI device " + hex2(fn.Bus) + ":" + hex2(fn.Device) + "." + strconv.Itoa(int(fn.Number))
		u := f.wants(name, typ)
		if u == nil {
			return
		}
		d, err := fn.Open(f.m, f.m.Map)
		if err != nil {
			f.m.Say(name + " " + err.Error())
			return
		}
		f.use(name, d, u)
	})
}

func hex2(v uint8) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[v>>4], digits[v&15]})
}

// wants returns what a device of a type is wanted for, nil if it is not.
func (f *Finder) wants(name string, typ uint32) *use {
	u := useOf(typ)
	switch {
	case u == nil:
		f.m.Note(name + " is of virtio type " + strconv.Itoa(int(typ)) + ", for which there is no driver")
	case u.most == 0:
		f.m.Note(name + " is a block device, and the image mounts no volumes")
		return nil
	case f.have[typ] >= u.most:
		f.m.Note(name + " is not used: there already is one of virtio type " + strconv.Itoa(int(typ)))
		return nil
	}
	return u
}

// use takes a device into use.
func (f *Finder) use(name string, t transport.Transport, u *use) {
	w := u.wants
	w.Alloc = f.m.Alloc
	r, err := transport.Setup(t, &w)
	if err != nil {
		f.m.Say(name + " " + err.Error())
		return
	}
	d := &r.Device
	for i := range d.NumQueues {
		d.Queues[i].Notify = f.queues
		f.m.SetBell(f.queues, r.Bells[i])
		f.queues++
	}
	if d.Type != abi.DeviceBlock { // which says what it is called itself
		copy(d.Name[:len(d.Name)-1], name)
	}
	f.m.Add(d)
	f.have[d.Type]++
}
