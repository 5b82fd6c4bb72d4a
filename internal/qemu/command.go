package qemu

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// A Forward is a port of the host at which a port of the guest can be reached.
type Forward struct {
	UDP   bool
	Addr  netip.Addr // of the host; invalid: all its IPv4 addresses
	Host  uint16
	Guest uint16
}

// A Net is a guest's network card.
type Net struct {
	// Tap is the name of an existing tap device, "" for a network behind the
	// host: QEMU's own if it is started by hand.
	Tap      string
	MAC      string    // "" for QEMU's own
	MTU      int       // bytes, that the card announces; 0: none
	Forwards []Forward // of QEMU's own network
}

// A Drive is a block device.
type Drive struct {
	Name     string   // its serial number, at most 20 bytes
	Path     string   // of the file behind it
	File     *os.File // instead of Path: QEMU is started with it
	ReadOnly bool
	Offset   int64 // where in the file it begins, in bytes
	Size     int64 // bytes; 0 for all of the file from Offset on
}

// A Machine is what a guest runs on.
type Machine struct {
	Type    string // one of Machines
	KVM     bool
	Image   string // path of an image of target virtio
	CmdLine string // as package params writes it
	Memory  uint64 // bytes, rounded up to MiB
	Nets    []Net  // cards, eth0 first
	Drives  []Drive
}

// ends are where the character devices of a guest and its card lead, as QEMU
// writes them.
type ends struct {
	console, errors, serial string   // backends of -chardev, without their names
	control                 string   // "": no control channel
	nets                    []string // backends of -netdev, without their names
}

// CmdLine returns the words of a QEMU command that runs m by hand: the program's
// output on standard output and error, no control channel, so that QEMU's exit
// code says nothing of the program.
func CmdLine(path string, m Machine) []string {
	e := ends{
		console: "stdio,signal=off",
		errors:  "file,path=/dev/stderr",
		serial:  "file,path=/dev/stderr",
	}
	for i := range m.Nets {
		e.nets = append(e.nets, m.Nets[i].byHand())
	}
	return append([]string{path}, m.args(e)...)
}

// args lays out the machine.
func (m *Machine) args(e ends) []string {
	a := []string{"-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-machine", m.options()}
	if m.KVM {
		a = append(a, "-accel", "kvm")
	} else {
		a = append(a, "-accel", "tcg")
	}
	a = append(a, "-cpu", "max", "-smp", "1", "-m", strconv.FormatUint((m.Memory+1<<20-1)>>20, 10)+"M",
		"-kernel", m.Image, "-append", m.CmdLine)
	if m.Type == "microvm" {
		a = append(a, "-global", "virtio-mmio.force-legacy=false") // QEMU's default is the kind before virtio 1.0
	}
	a = append(a, m.console("out", e.console)...)
	a = append(a, m.console("err", e.errors)...)
	a = append(a, serial(0, "com1", e.serial)...)
	if e.control != "" {
		a = append(a, serial(1, "control", e.control)...)
	}
	// Where the guest's ring 0 ends the machine for what ring 3 cannot take.
	a = append(a, "-device", m.virtio("virtio-rng"), "-device", "isa-debug-exit,iobase=0xf4,iosize=4")
	for i, backend := range e.nets {
		a = append(a, "-netdev", fmt.Sprintf("%s,id=net%d", backend, i), "-device", m.card(i))
	}
	for i := range m.Drives {
		a = append(a, m.drive(i)...)
	}
	return a
}

// drive is a block device. Its file is tailor's to lock.
func (m *Machine) drive(i int) []string {
	d, id := &m.Drives[i], "drive"+strconv.Itoa(i)
	backend := "if=none,format=raw,discard=unmap,file.locking=off,id=" + id + ",file=" + strings.ReplaceAll(fileName(d.Path), ",", ",,")
	if d.Offset != 0 {
		backend += fmt.Sprintf(",offset=%d,size=%d", d.Offset, d.Size)
	}
	if d.ReadOnly {
		backend += ",readonly=on"
	}
	return []string{"-drive", backend, "-device", m.virtio("virtio-blk", "drive="+id, "serial="+d.Name)}
}

// fileName writes a path so that QEMU does not take what is before a colon for a
// protocol (path_has_protocol in its block.c).
func fileName(path string) string {
	if i := strings.IndexAny(path, ":/"); i >= 0 && path[i] == ':' {
		return "./" + path
	}
	return path
}

// A microvm has places for so many virtio devices, of which the consoles and the source
// of random numbers take three; with ACPI, and a second interrupt controller with that, 24.
const (
	maxTransports = 8
	ownDevices    = 3
)

// options are those of -machine. A microvm without ACPI says on the command line
// where its devices are and starts a tenth faster; the guest needs neither of
// the old timers and interrupt controllers, but the clock.
func (m *Machine) options() string {
	switch m.Type {
	case "microvm":
		if ownDevices+len(m.Nets)+len(m.Drives) > maxTransports {
			return "microvm,acpi=on,pit=off,pic=off,rtc=on,x-option-roms=off"
		}
		return "microvm,acpi=off,pit=off,pic=off,rtc=on,x-option-roms=off"
	case "q35":
		return "q35,sata=off,smbus=off,usb=off,vmport=off"
	}
	return "pc,usb=off,vmport=off"
}

// virtio returns the options of -device for a device of the modern kind.
func (m *Machine) virtio(name string, options ...string) string {
	if m.Type == "microvm" {
		name += "-device"
	} else {
		name += "-pci"
		options = append(options, "disable-legacy=on")
	}
	return strings.Join(append([]string{name}, options...), ",")
}

// console is a device of its own with one port, because that needs no more of
// the guest than two queues.
func (m *Machine) console(id, backend string) []string {
	return []string{
		"-chardev", backend + ",id=" + id,
		"-device", m.virtio("virtio-serial", "id=bus-"+id, "max_ports=1"),
		"-device", "virtconsole,bus=bus-" + id + ".0,chardev=" + id,
	}
}

// serial is the nth serial port where PCs have it.
func serial(n int, id, backend string) []string {
	return []string{"-chardev", backend + ",id=" + id, "-device", fmt.Sprintf("isa-serial,index=%d,chardev=%s", n, id)}
}

// card is the nth network card.
func (m *Machine) card(n int) string {
	c, options := &m.Nets[n], []string{fmt.Sprintf("netdev=net%d", n)}
	if c.MAC != "" {
		options = append(options, "mac="+c.MAC)
	}
	if c.MTU != 0 {
		options = append(options, "host_mtu="+strconv.Itoa(c.MTU))
	}
	if m.Type != "microvm" {
		options = append(options, "romfile=") // it boots from no network
	}
	return m.virtio("virtio-net", options...)
}

// byHand returns the backend of -netdev for a QEMU that attaches itself.
func (n *Net) byHand() string {
	if n.Tap != "" {
		return tapBackend + "ifname=" + n.Tap + ",script=no,downscript=no"
	}
	s := "user"
	for _, f := range n.Forwards {
		proto, addr := "tcp", ""
		if f.UDP {
			proto = "udp"
		}
		if f.Addr.IsValid() {
			addr = f.Addr.String()
		}
		s += fmt.Sprintf(",hostfwd=%s:%s:%d-:%d", proto, addr, f.Host, f.Guest)
	}
	return s
}

// attached returns the backend of -netdev for a QEMU that is given its end of
// the network as a descriptor.
func (n *Net) attached(fd int) string {
	if n.Tap != "" {
		return tapBackend + "fd=" + strconv.Itoa(fd)
	}
	return "socket,fd=" + strconv.Itoa(fd)
}

// tapBackend has QEMU read a tap itself: vhost needs rights that tailor does not
// ask for.
const tapBackend = "tap,vhost=off,"

// Quote writes a command for a shell.
func Quote(words []string) string {
	var out []string
	for _, w := range words {
		plain := w != "" && strings.IndexFunc(w, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_=+.,:/@%", r))
		}) < 0
		if !plain {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}
