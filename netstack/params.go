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
	Cards    []CardConfig // params.MaxCards of them, eth0 first
	DNS      []netip.Addr // resolvers, in order of preference
	Hostname string
	// Temporary is whether connections are to be made from addresses that change
	// (RFC 8981), where IPv6 addresses are found.
	Temporary bool
}

// A CardConfig is what they say of one network card.
type CardConfig struct {
	_       [0]func()    // not comparable, which would be code in each image
	IP, IP6 netip.Prefix // address and prefix; invalid: none
	GW, GW6 netip.Addr   // default gateways; invalid: none
	MTU     int          // bytes; 0: what the device says
	// DHCP is whether ip=dhcp asks for an address, None whether ip=none wants
	// that there is none.
	DHCP, None bool
}

// finds reports whether addresses are to be found. With a static IPv6 address,
// that is IPv4's alone.
func (c *CardConfig) finds() bool {
	return c.DHCP || !c.IP.IsValid() && !c.IP6.IsValid() && !c.None
}

// given returns the parameter that wants an address, "" if there is none.
func (c *CardConfig) given() string {
	switch {
	case c.DHCP || c.IP.IsValid():
		return "ip="
	case c.IP6.IsValid():
		return "ip6="
	}
	return ""
}

// ParseParams reads the words ip=, ip6=, gw=, gw6=, dns=, mtu= and hostname= of
// boot parameters (package params), and leaves the others alone. dns
// takes several addresses with commas between them and may come again; of the
// others the last one counts, of each card ([params.CutCard]).
func ParseParams(words string) (Config, error) {
	c := Config{Cards: make([]CardConfig, params.MaxCards)}
	for key, value, rest, ok := params.Words(words).Next(); ok; key, value, rest, ok = rest.Next() {
		if err := c.set(key, value); err != nil {
			return Config{}, errors.New("boot parameter " + strconv.Quote(key+"="+value) + ": " + err.Error())
		}
	}
	return c, c.check()
}

func (c *Config) set(key, value string) (err error) {
	n, of := params.CutCard(value)
	g := &c.Cards[n]
	switch key {
	case "ip":
		g.DHCP, g.None = of == "dhcp", of == "none"
		if g.IP = (netip.Prefix{}); g.DHCP || g.None {
			return nil
		}
		err = parsePrefix(&g.IP, of, netip.Addr.Is4, "10.0.2.15/24")
	case "ip6":
		err = parsePrefix(&g.IP6, of, netip.Addr.Is6, "fd00::15/64")
	case "gw":
		err = parseAddr(&g.GW, of, netip.Addr.Is4, "10.0.2.2")
	case "gw6":
		err = parseAddr(&g.GW6, of, netip.Addr.Is6, "fd00::2")
	case "mtu":
		g.MTU, err = parseMTU(of)
	case "dns":
		err = c.addDNS(value)
	case "ip6-privacy":
		c.Temporary = value == "temporary"
	case "hostname":
		c.Hostname, err = parseHostname(value)
	}
	return err
}

func parsePrefix(to *netip.Prefix, value string, is func(netip.Addr) bool, example string) error {
	p, err := netip.ParsePrefix(value)
	a := p.Addr()
	if err != nil || !is(a) || a.Is4In6() {
		return errors.New("want an address and a prefix length like " + example)
	}
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() {
		return errors.New("an interface cannot have this address; want one like " + example)
	}
	*to = p
	return nil
}

func parseAddr(to *netip.Addr, value string, is func(netip.Addr) bool, example string) error {
	a, err := netip.ParseAddr(value)
	if err != nil || !is(a) || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		return errors.New("want an address like " + example)
	}
	*to = a
	return nil
}

func anyAddr(netip.Addr) bool { return true }

func (c *Config) addDNS(value string) error {
	for _, v := range strings.Split(value, ",") {
		var a netip.Addr
		if err := parseAddr(&a, v, anyAddr, "10.0.2.3"); err != nil {
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
	for n := range c.Cards {
		if err := c.Cards[n].check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *CardConfig) check() error {
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
