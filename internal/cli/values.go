package cli

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

// ParseSize reads an amount of memory and returns it in bytes. A unit is
// required, so that 64 is neither taken for bytes nor for MiB: K, M, G, T or
// KiB, MiB, GiB, TiB, all powers of 1024.
func ParseSize(s string) (uint64, error) {
	digits := strings.TrimRight(s, "KkMmGgTtIiBb")
	shift, ok := unitShift(s[len(digits):])
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errors.New("too large")
	case err != nil:
		return 0, hint.Errorf("write a whole number and a unit, such as 64M or 1G", "not an amount of memory")
	case digits == s:
		return 0, hint.Errorf(fmt.Sprintf("write %sM for MiB, or %sK for KiB", s, s), "no unit")
	case !ok:
		return 0, hint.Errorf("units are K, M, G, T or KiB, MiB, GiB, TiB", "unknown unit %q", s[len(digits):])
	case n == 0:
		return 0, errors.New("no memory at all")
	case n > math.MaxInt64>>shift:
		return 0, errors.New("too large")
	}
	return n << shift, nil
}

// ParseDuration reads a length of time, which is not negative. Only zero needs no
// unit.
func ParseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, hint.Errorf("write a number and a unit, such as 500ms, 1s or 2m", "not a length of time")
	case d < 0:
		return 0, errors.New("less than nothing")
	}
	return d, nil
}

// unitShift returns the power of two of a unit.
func unitShift(unit string) (shift uint, ok bool) {
	unit = strings.TrimSuffix(strings.ToLower(unit), "ib")
	switch unit {
	case "k":
		return 10, true
	case "m":
		return 20, true
	case "g":
		return 30, true
	case "t":
		return 40, true
	}
	return 0, false
}

// FormatSize writes n bytes in the largest unit that needs no fraction.
func FormatSize(n uint64) string {
	units := []string{"", "K", "M", "G", "T"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n /= 1024
		i++
	}
	return strconv.FormatUint(n, 10) + units[i]
}

// A Publish is a port of the host at which a port of the guest can be reached.
type Publish struct {
	Addr  netip.Addr // the host's address; the zero Addr if none was given
	Host  uint16     // the host's port
	Guest uint16     // the guest's port
	UDP   bool       // UDP instead of TCP
}

// Proto returns "tcp" or "udp".
func (p Publish) Proto() string {
	if p.UDP {
		return "udp"
	}
	return "tcp"
}

// String writes p the way [ParsePublish] reads it.
func (p Publish) String() string {
	s := fmt.Sprintf("%d:%d", p.Host, p.Guest)
	if p.Addr.Is6() {
		s = "[" + p.Addr.String() + "]:" + s
	} else if p.Addr.IsValid() {
		s = p.Addr.String() + ":" + s
	}
	if p.UDP {
		s += "/udp"
	}
	return s
}

const publishHint = "write [ADDRESS:]HOSTPORT:GUESTPORT[/udp], such as 8080:80 or 127.0.0.1:5353:53/udp"

// ParsePublish reads [address:]host:guest[/tcp|/udp]; an IPv6 address stands
// in brackets.
func ParsePublish(s string) (Publish, error) {
	var p Publish
	ports, proto, hasProto := strings.Cut(s, "/")
	switch {
	case hasProto && proto == "udp":
		p.UDP = true
	case hasProto && proto != "tcp":
		return p, hint.Errorf("write /tcp or /udp", "unknown protocol %q", proto)
	}
	rest, guest, ok := cutLast(ports, ":")
	if !ok {
		if _, err := parsePort(s, ports); err == nil {
			return p, hint.Errorf("write "+ports+":GUESTPORT", "the guest's port is missing")
		}
		return p, hint.Errorf(publishHint, "not a published port")
	}
	addr, host, hasAddr := cutLast(rest, ":")
	var err error
	if hasAddr {
		if p.Addr, err = parseHostAddr(addr); err != nil {
			return p, err
		}
	} else {
		host = rest
	}
	if p.Host, err = parsePort("host", host); err != nil {
		return p, err
	}
	p.Guest, err = parsePort("guest", guest)
	return p, err
}

func parsePort(what, s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, hint.Errorf(publishHint, "%s port %q is not a number from 1 to 65535", what, s)
	}
	return uint16(n), nil
}

func parseHostAddr(s string) (netip.Addr, error) {
	if s == "localhost" {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	bare := s
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		bare = s[1 : len(s)-1]
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil || addr.Is6() != (bare != s) {
		return addr, hint.Errorf("write an IPv4 address, or an IPv6 address in brackets: [::1]:8080:80",
			"%q is not an address of the host", s)
	}
	return addr, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// ParseEnv checks that s is NAME=VALUE.
func ParseEnv(s string) (string, error) {
	name, _, ok := strings.Cut(s, "=")
	switch {
	case strings.ContainsRune(s, 0):
		return "", errors.New("holds a zero byte")
	case !ok && s != "":
		return "", hint.Errorf(fmt.Sprintf("write -e %s=VALUE, or -e %s=\"$%s\" to pass the host's on", s, s, s), "no value")
	case name == "":
		return "", hint.Errorf("write -e NAME=VALUE", "no name")
	}
	return s, nil
}

// ParsePrefix reads an address with the length of its network, such as
// 192.0.2.5/24.
func ParsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil {
		return p, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		return p, hint.Errorf(fmt.Sprintf("write %s/%d if that is its network", s, bits), "the length of the network is missing")
	}
	return p, hint.Errorf("write ADDRESS/BITS, such as 192.0.2.5/24 or 2001:db8::5/64", "not an address with its network")
}

// ParseAddr reads an IPv4 or IPv6 address.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return a, hint.Errorf("write an address, such as 192.0.2.1 or 2001:db8::1", "not an IP address")
	}
	return a, nil
}

// A Net is the kind of network that a guest is given.
type Net struct {
	Kind string // "user", "none" or "tap"
	Tap  string // the device's name, for "tap"
}

// ParseNet reads user, none or tap:NAME.
func ParseNet(s string) (Net, error) {
	kind, name, hasName := strings.Cut(s, ":")
	switch {
	case !hasName && (kind == "user" || kind == "none"):
		return Net{Kind: kind}, nil
	case kind != "tap":
		help := "write user, none or tap:NAME"
		if near := Nearest(kind, []string{"user", "none", "tap"}); near != "" {
			help = "did you mean " + near + "?"
		}
		return Net{}, hint.Errorf(help, "unknown kind of network")
	case name == "":
		return Net{}, hint.Errorf("write tap:NAME, such as tap:tap0", "the device's name is missing")
	case len(name) > maxIfName || strings.ContainsAny(name, "/ \t\n\x00"):
		return Net{}, fmt.Errorf("%q cannot be the name of a network device (at most %d bytes, no / or space)", name, maxIfName)
	}
	return Net{Kind: "tap", Tap: name}, nil
}

// maxIfName is Linux's IFNAMSIZ without the terminating zero, in bytes.
const maxIfName = 15
