package netstack

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/params"
)

// A Config is what the boot parameters say of the network. The zero Config is
// loopback only.
type Config struct {
	IP, IP6  netip.Prefix // address and prefix of eth0; invalid: none
	GW, GW6  netip.Addr   // default gateways; invalid: none
	DNS      []netip.Addr // resolvers, in order of preference
	MTU      int          // bytes; 0: what the device says
	Hostname string
	// DHCP is whether ip=dhcp asks for an address, None whether ip=none wants
	// that there is none.
	DHCP, None bool
	// Temporary is whether connections are to be made from addresses that change
	// (RFC 8981), where IPv6 addresses are found.
	Temporary bool
}

// ParseParams reads the words ip=, ip6=, gw=, gw6=, dns=, mtu= and hostname= of
// boot parameters (package params), and leaves the others alone. dns
// takes several addresses with commas between them and may come again; of the
// others the last one counts.
func ParseParams(words string) (Config, error) {
	var c Config
	for key, value, rest, ok := params.Words(words).Next(); ok; key, value, rest, ok = rest.Next() {
		if err := c.set(key, value); err != nil {
			return Config{}, errors.New("boot parameter " + strconv.Quote(key+"="+value) + ": " + err.Error())
		}
	}
	return c, c.check()
}

func (c *Config) set(key, value string) (err error) {
	switch key {
	case "ip":
		c.DHCP, c.None = value == "dhcp", value == "none"
		if c.IP = (netip.Prefix{}); c.DHCP || c.None {
			return nil
		}
		c.IP, err = parsePrefix(value, netip.Addr.Is4, "10.0.2.15/24")
	case "ip6":
		c.IP6, err = parsePrefix(value, netip.Addr.Is6, "fd00::15/64")
	case "gw":
		c.GW, err = parseAddr(value, netip.Addr.Is4, "10.0.2.2")
	case "gw6":
		c.GW6, err = parseAddr(value, netip.Addr.Is6, "fd00::2")
	case "dns":
		err = c.addDNS(value)
	case "mtu":
		c.MTU, err = parseMTU(value)
	case "ip6-privacy":
		c.Temporary = value == "temporary"
	case "hostname":
		c.Hostname, err = parseHostname(value)
	}
	return err
}

func parsePrefix(value string, is func(netip.Addr) bool, example string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(value)
	a := p.Addr()
	if err != nil || !is(a) || a.Is4In6() {
		return netip.Prefix{}, errors.New("want an address and a prefix length like " + example)
	}
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return netip.Prefix{}, errors.New("an interface cannot have this address; want one like " + example)
	}
	return p, nil
}

func parseAddr(value string, is func(netip.Addr) bool, example string) (netip.Addr, error) {
	a, err := netip.ParseAddr(value)
	if err != nil || !is(a) || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, errors.New("want an address like " + example)
	}
	return a, nil
}

func anyAddr(netip.Addr) bool { return true }

func (c *Config) addDNS(value string) error {
	for _, v := range strings.Split(value, ",") {
		a, err := parseAddr(v, anyAddr, "10.0.2.3")
		if err != nil {
			return err
		}
		c.DNS = append(c.DNS, a)
	}
	return nil
}

func parseMTU(value string) (int, error) {
	n := params.MTU(value)
	if n == 0 {
		return 0, errors.New("want a number of bytes from 1280 to 65535")
	}
	return n, nil
}

func parseHostname(value string) (string, error) {
	if !params.IsHostname(value) {
		return "", errors.New("want at most 64 letters, digits, hyphens and dots")
	}
	return value, nil
}

// check looks at what several words say together.
func (c *Config) check() error {
	switch {
	case c.GW.IsValid() && !c.IP.IsValid():
		return errors.New("boot parameter gw=" + c.GW.String() + " needs ip=, the guest's own address")
	case c.GW6.IsValid() && !c.IP6.IsValid():
		return errors.New("boot parameter gw6=" + c.GW6.String() + " needs ip6=, the guest's own address")
	case c.GW.IsValid() && !c.IP.Contains(c.GW):
		return errors.New("boot parameter gw=" + c.GW.String() + " is not in the network of ip=" + c.IP.String())
	case c.GW6.IsValid() && !c.IP6.Contains(c.GW6) && !c.GW6.IsLinkLocalUnicast():
		return errors.New("boot parameter gw6=" + c.GW6.String() + " is not in the network of ip6=" + c.IP6.String())
	}
	return nil
}

// ResolvConf returns the text of /etc/resolv.conf for the configured resolvers,
// empty if there are none.
func (c *Config) ResolvConf() string {
	var b strings.Builder
	for _, a := range c.DNS {
		b.WriteString("nameserver " + a.String() + "\n")
	}
	return b.String()
}
