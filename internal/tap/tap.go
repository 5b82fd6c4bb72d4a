// Package tap attaches to an existing tap device of the host (tailor run
// --net tap:NAME).
//
// The device is made and configured by the host's owner; this package never
// creates one, never changes its addresses and leaves it in place on close.
// Each read(2) on the descriptor gives one packet and each write(2) takes one:
// a virtio_net_hdr_v1 of [HeaderSize] bytes (virtio 1.2 section 5.1.6,
// little-endian) followed by an Ethernet frame, which with segmentation
// offload may be longer than the MTU, up to 64 KiB.
package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// HeaderSize is the size in bytes of the virtio-net header before each frame.
const HeaderSize = 12

// clonePath is the device that hands out tap descriptors
// (Documentation/networking/tuntap.rst in the Linux source).
const clonePath = "/dev/net/tun"

// Flags of TUNSETOFFLOAD: what the reader of the descriptor accepts (linux/if_tun.h).
const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6

// The remedies of [Open]'s errors. Callers compare with errors.Is.
var (
	// ErrNotExist reports that no interface has the name.
	ErrNotExist = errors.New("no such interface")
	// ErrNotTap reports an interface of another kind, or a multi-queue tap.
	ErrNotTap = errors.New("not a usable tap")
	// ErrBusy reports a tap that another process is attached to.
	ErrBusy = errors.New("tap is in use")
	// ErrPermission reports missing access to /dev/net/tun or to the tap.
	ErrPermission = errors.New("permission denied")
	// ErrNoDriver reports a host without /dev/net/tun.
	ErrNoDriver = errors.New("no tun driver")
)

// Error is what Open returns: a sentinel with where, why and what to do.
type Error struct {
	Name   string // the interface asked for
	Reason string // what is wrong, and why
	Hint   string // what to do, an exact command where there is one
	Kind   error  // one of the sentinels above, or nil
	Cause  error  // the system's error, or nil
}

// Error returns name, reason, cause and remedy on one line.
func (e *Error) Error() string {
	s := fmt.Sprintf("tap %q: %s", e.Name, e.Reason)
	if e.Cause != nil {
		s += " (" + e.Cause.Error() + ")"
	}
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// Unwrap gives errors.Is both the sentinel and the system's error.
func (e *Error) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Kind, e.Cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Device is an attached tap. Its methods may be called concurrently.
type Device struct {
	fd    int
	info  Info
	close sync.Once
	err   error
}

// FD returns the non-blocking, close-on-exec descriptor. It stays the
// Device's: it is valid until Close, and must not be closed by the caller.
func (d *Device) FD() int { return d.fd }

// Info returns what Open found out about the host's side.
func (d *Device) Info() Info { return d.info }

// Close detaches from the tap, which stays as it is on the host. Later calls
// return the first one's result.
func (d *Device) Close() error {
	d.close.Do(func() { d.err = unix.Close(d.fd) })
	return d.err
}

// Open attaches to the tap called name, with checksum and TCP segmentation
// offload in both directions. One that another process has is tried for half a
// second. All its errors are of type *[Error].
func Open(name string) (*Device, error) { return open(clonePath, name) }

func open(clone, name string) (*Device, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	// Attaching to a name that does not exist would create a tap for a
	// privileged user; so look first, and look again after (see attach).
	info, err := lookup(name)
	if err != nil {
		return nil, err
	}
	fd, err := openClone(clone, name)
	if err != nil {
		return nil, err
	}
	err = attach(fd, name)
	for end := time.Now().Add(patience); errors.Is(err, ErrBusy) && time.Now().Before(end); err = attach(fd, name) {
		time.Sleep(patience / 50)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Device{fd: fd, info: info}, nil
}

// patience is for how long Open tries to attach to a tap that another process has: a
// hypervisor lets go of it a moment after the tool that ran it was killed.
const patience = 500 * time.Millisecond

// checkName refuses what the kernel would misread: an interface name is 1 to
// 15 bytes, without '/', ':', white space, and '%' (a name template).
func checkName(name string) error {
	bad := &Error{Name: name, Reason: "malformed interface name", Kind: ErrNotExist,
		Hint: "give the name that 'ip link' shows: 1 to 15 characters without space, '/', ':' and '%'"}
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." {
		return bad
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == '/' || c == ':' || c == '%' {
			return bad
		}
	}
	return nil
}

func openClone(clone, name string) (int, error) {
	fd, err := unix.Open(clone, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case err == nil:
		return fd, nil
	case err == unix.EACCES || err == unix.EPERM:
		return -1, &Error{Name: name, Reason: "cannot open " + clone, Cause: err, Kind: ErrPermission,
			Hint: "let your user open it: sudo chmod 0666 " + clone + " (the usual mode; the tap's own owner is checked besides)"}
	case err == unix.ENOENT || err == unix.ENODEV || err == unix.ENXIO:
		return -1, &Error{Name: name, Reason: "the host has no " + clone, Cause: err, Kind: ErrNoDriver,
			Hint: "load the driver: sudo modprobe tun"}
	}
	return -1, &Error{Name: name, Reason: "cannot open " + clone, Cause: err}
}

// attach binds fd to the tap and sets the packet format.
func attach(fd int, name string) error {
	if err := setIff(fd, name, 0); err != nil {
		return attachError(fd, name, err)
	}
	flags, err := getIff(fd)
	if err != nil {
		return setupError(name, "TUNGETIFF", err)
	}
	if flags&unix.IFF_PERSIST == 0 {
		// The tap vanished after lookup and TUNSETIFF made a new one, which
		// goes away again when the caller closes fd.
		return notExist(name)
	}
	return setFormat(fd, name)
}

func setFormat(fd int, name string) error {
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, HeaderSize); err != nil {
		return setupError(name, "TUNSETVNETHDRSZ", err)
	}
	// Little-endian whatever the host is, as virtio 1 has it.
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETLE, 1); err != nil {
		return setupError(name, "TUNSETVNETLE", err)
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads); err != nil {
		return setupError(name, "TUNSETOFFLOAD", err)
	}
	return nil
}

func setupError(name, what string, err error) error {
	return &Error{Name: name, Reason: "the kernel refuses " + what, Cause: err,
		Hint: "Linux 4.0 or later is needed"}
}

// attachError says what an error of TUNSETIFF means on an interface that exists.
func attachError(fd int, name string, err error) error {
	switch err {
	case unix.EBUSY:
		return &Error{Name: name, Reason: "another process is attached to it", Cause: err, Kind: ErrBusy,
			Hint: "stop that one (it may be another virtual machine), or make a second tap: " + createHint(name+"b")}
	case unix.EPERM, unix.EACCES:
		return &Error{Name: name, Reason: "it belongs to another user, and you lack CAP_NET_ADMIN", Cause: err, Kind: ErrPermission,
			Hint: "make it yours: sudo ip tuntap del dev " + name + " mode tap && " + createHint(name)}
	case unix.EINVAL:
		if setIff(fd, name, unix.IFF_MULTI_QUEUE) == nil {
			return &Error{Name: name, Reason: "it is a multi-queue tap, whose packets would be spread over all that attach", Kind: ErrNotTap,
				Hint: "make it again without multi_queue: sudo ip tuntap del dev " + name + " mode tap multi_queue && " + createHint(name)}
		}
		return notTap(name, "")
	}
	return &Error{Name: name, Reason: "cannot attach", Cause: err}
}

func notExist(name string) error {
	return &Error{Name: name, Reason: "there is no such interface", Kind: ErrNotExist,
		Hint: "make it: " + createHint(name)}
}

func notTap(name, kind string) error {
	reason := "it is not a tap"
	if kind != "" {
		reason += " but a " + kind + " interface"
	}
	return &Error{Name: name, Reason: reason, Kind: ErrNotTap,
		Hint: "make one under another name: " + createHint("tap0")}
}

// createHint returns the two commands that make a tap for the calling user.
func createHint(name string) string {
	if len(name) >= unix.IFNAMSIZ {
		name = "tap1"
	}
	return "sudo ip tuntap add dev " + name + " mode tap user $USER && sudo ip link set " + name + " up"
}

// Info describes the host's side of a tap.
type Info struct {
	Name  string
	Index int              // interface index
	MAC   net.HardwareAddr // of the host's side, not of the guest
	MTU   int              // bytes, without the Ethernet header
	Up    bool             // administratively up; a tap that is down drops everything
	Addrs []netip.Prefix   // the host's addresses on it, with prefix length
}

// GuestMAC returns a locally administered unicast address for the guest's side:
// the same for each start on this tap, so that neighbours' caches and DHCP
// leases stay valid, and another than the host's.
func (i Info) GuestMAC() net.HardwareAddr {
	mac := net.HardwareAddr{0x02, 0, 0, 0, 0, 0}
	copy(mac[1:], i.MAC[min(1, len(i.MAC)):])
	// The driver gives taps random addresses with the same two bits set, so
	// the first byte alone would not tell the two apart.
	mac[5] ^= 0x01
	if len(i.MAC) == 6 {
		mac[0] = i.MAC[0]&^0x01 | 0x02
	}
	return mac
}

// Suggest returns an address for the guest next to the host's first address of
// the family (IPv4, or IPv6 other than link-local), and the host's as gateway.
// ok is false if the tap has no such address or its network no second one.
func (i Info) Suggest(ipv6 bool) (guest netip.Prefix, gateway netip.Addr, ok bool) {
	for _, p := range i.Addrs {
		a := p.Addr()
		if a.Is6() != ipv6 || a.IsLinkLocalUnicast() {
			continue
		}
		if g, ok := neighbour(p); ok {
			return netip.PrefixFrom(g, p.Bits()), a, true
		}
	}
	return netip.Prefix{}, netip.Addr{}, false
}

// neighbour returns an address of p's network other than p's own, its first
// (the network itself, or the subnet-router anycast of RFC 4291 section 2.6.1)
// and, in IPv4, its last (broadcast). RFC 3021's /31 has neither.
func neighbour(p netip.Prefix) (netip.Addr, bool) {
	a := p.Addr()
	for _, g := range []netip.Addr{a.Next(), a.Prev()} {
		if !g.IsValid() || !p.Contains(g) {
			continue
		}
		if p.Bits() < a.BitLen()-1 && (g == p.Masked().Addr() || a.Is4() && !p.Contains(g.Next())) {
			continue
		}
		return g, true
	}
	return netip.Addr{}, false
}
