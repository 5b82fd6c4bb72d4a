package tap

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

func setIff(fd int, name string, extra uint16) error {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR | extra)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
}

func getIff(fd int) (uint16, error) {
	ifr, err := unix.NewIfreq("x") // the name is filled in by the kernel
	if err != nil {
		return 0, err
	}
	err = unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr)
	return ifr.Uint16(), err
}

// Lookup describes the tap called name without attaching to it. Its errors are
// those of [Open].
func Lookup(name string) (Info, error) {
	if err := checkName(name); err != nil {
		return Info{}, err
	}
	return lookup(name)
}

func lookup(name string) (Info, error) {
	if err := checkKind(name); err != nil {
		return Info{}, err
	}
	ifi, err := net.InterfaceByName(name)
	if err != nil {
		return Info{}, notExist(name)
	}
	info := Info{Name: name, Index: ifi.Index, MAC: ifi.HardwareAddr, MTU: ifi.MTU, Up: ifi.Flags&net.FlagUp != 0}
	info.Addrs, err = addrs(ifi)
	if err != nil {
		return Info{}, &Error{Name: name, Reason: "cannot read its addresses", Cause: err}
	}
	return info, nil
}

// checkKind asks the interface's driver what it is; no privilege is needed.
func checkKind(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return &Error{Name: name, Reason: "cannot ask for it", Cause: err}
	}
	defer unix.Close(s)
	drv, err := unix.IoctlGetEthtoolDrvinfo(s, name)
	switch {
	case errors.Is(err, unix.ENODEV):
		return notExist(name)
	case errors.Is(err, unix.EOPNOTSUPP): // lo and others without ethtool
		return notTap(name, "")
	case err != nil:
		return &Error{Name: name, Reason: "cannot ask for its driver", Cause: err}
	}
	driver := unix.ByteSliceToString(drv.Driver[:])
	if driver != "tun" {
		return notTap(name, driver)
	}
	// The tun driver says here which of its two kinds the device is.
	if bus := unix.ByteSliceToString(drv.Bus_info[:]); bus != "tap" {
		return notTap(name, bus)
	}
	return nil
}

func addrs(ifi *net.Interface) ([]netip.Prefix, error) {
	list, err := ifi.Addrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ones, _ := n.Mask.Size()
		out = append(out, netip.PrefixFrom(ip.Unmap(), ones))
	}
	return out, nil
}
