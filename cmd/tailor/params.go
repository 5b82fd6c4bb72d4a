package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/paramdoc"
	"github.com/tailor-os/tailor/params"
)

// An address plan is what the guest's network is to be configured with. Invalid
// addresses are not configured.
type addresses struct {
	ip, ip6 netip.Prefix
	gw, gw6 netip.Addr
	dns     []netip.Addr
	dhcp    bool // the guest finds its IPv4 address
	host    bool // they are to be next to the host's
}

// given reports whether the guest's addresses need no suggestion.
func (a *addresses) given() bool { return a.ip.IsValid() || a.ip6.IsValid() || a.dhcp }

// An ipFlag is a value of --ip: an address with its network or, if that is not
// valid, one of the words.
type ipFlag struct {
	prefix netip.Prefix
	word   string
}

// The words: the guest finds its addresses; or has ones next to the host's on the
// tap, of which it is told.
const (
	ipDHCP = "dhcp"
	ipHost = "host"
)

// parseIP reads a value of --ip.
func parseIP(s string) (ipFlag, error) {
	if s == ipDHCP || s == ipHost {
		return ipFlag{word: s}, nil
	}
	p, err := cli.ParsePrefix(s)
	return ipFlag{prefix: p}, err
}

// staticAddresses sorts --ip, --gateway and --dns by family, of which the guest
// has one address each.
func staticAddresses(ips []ipFlag, gateways, dns []netip.Addr) (addresses, error) {
	a := addresses{dns: dns}
	for _, f := range ips {
		if err := a.add(f); err != nil {
			return a, err
		}
	}
	if a.dhcp && a.ip.IsValid() {
		return a, hint.Errorf("remove one of them", "--ip dhcp and --ip %s both give the guest its IPv4 address", a.ip)
	}
	if a.host && a.given() {
		return a, hint.Errorf("remove it, or the others", "--ip host chooses all addresses, and there is another --ip")
	}
	return a, a.addGateways(gateways)
}

// add takes one value of --ip.
func (a *addresses) add(f ipFlag) error {
	p, to := f.prefix, &a.ip
	if !p.IsValid() {
		a.dhcp, a.host = a.dhcp || f.word == ipDHCP, a.host || f.word == ipHost
		return nil
	}
	if p.Addr().Is6() {
		to = &a.ip6
	}
	if to.IsValid() {
		return hint.Errorf("give one IPv4 and one IPv6 address", "--ip %s and --ip %s are of the same family", *to, p)
	}
	*to = p
	return nil
}

// addGateways takes the values of --gateway.
func (a *addresses) addGateways(gateways []netip.Addr) error {
	for _, g := range gateways {
		to, ip := &a.gw, a.ip
		if g.Is6() {
			to, ip = &a.gw6, a.ip6
		}
		switch {
		case to.IsValid():
			return hint.Errorf("give one IPv4 and one IPv6 gateway", "--gateway %s and --gateway %s are of the same family", *to, g)
		case !ip.IsValid():
			return hint.Errorf("add --ip ADDRESS/BITS of the same family", "--gateway %s needs a static address", g)
		case !ip.Contains(g) && !g.IsLinkLocalUnicast():
			return hint.Errorf("check both; the number after / is the length of the network", "--gateway %s is not in the network of --ip %s", g, ip)
		}
		*to = g
	}
	return nil
}

// params writes a as boot parameters, which package netstack reads.
func (a addresses) params() string {
	var words []string
	add := func(key string, valid bool, value fmt.Stringer) {
		if valid {
			words = append(words, key+"="+value.String())
		}
	}
	if a.dhcp {
		words = append(words, "ip=dhcp")
	}
	add("ip", a.ip.IsValid(), a.ip)
	add("gw", a.gw.IsValid(), a.gw)
	add("ip6", a.ip6.IsValid(), a.ip6)
	add("gw6", a.gw6.IsValid(), a.gw6)
	for _, d := range a.dns {
		add("dns", d.IsValid(), d)
	}
	return strings.Join(words, " ")
}

// helpParameters completes a program's own help, if that is all it was asked for, by
// the parameters of the system beneath it.
func (a *app) helpParameters(args []string, knows func(name string) bool) {
	if len(args) != 1 || !slices.Contains(helpFlags, args[0]) {
		return
	}
	if list := paramdoc.List(knows); list != "" {
		a.msg.Infof("the system's own parameters, flags of tailor run (more: tailor help parameters):")
		io.WriteString(a.msg, list)
	}
}

// knows reports whether a boot parameter has an effect on the image.
func (c *vmConfig) knows(name string) bool {
	switch name {
	case "ip6-privacy":
		return wantsNet(c.Image) && c.hasDHCP()
	case "ip", "gw", "ip6", "gw6", "dns", "search", "mtu":
		return wantsNet(c.Image)
	case "trace":
		return c.Image.Note.Trace != nil
	case "disk":
		return slices.ContainsFunc(c.Image.Note.Devices, func(d image.Device) bool { return d.Type == "disk" })
	}
	_, lacks := params.Lacking([]string{name + "="}, c.Image.Note.Services)
	return lacks == ""
}

// unixKnows is the same for a plain process, which knows what it is built with here.
func (o *runOptions) unixKnows(name string) bool {
	built := o.buildOptions
	built.link(o.words())
	if name == "disk" {
		return o.disks()
	}
	word := name + "="
	_, lacks := params.Lacking([]string{word}, built.services())
	return lacks == "" && params.OfProcess(word)
}
