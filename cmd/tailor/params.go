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

// An address plan is what a network card of the guest's is to be configured with.
// Invalid addresses are not configured.
type addresses struct {
	card    int // eth0 is 0
	ip, ip6 netip.Prefix
	gw, gw6 netip.Addr
	dhcp    bool // the guest finds its IPv4 address
	host    bool // they are to be next to the host's
}

// given reports whether the guest's addresses need no suggestion.
func (a *addresses) given() bool { return a.ip.IsValid() || a.ip6.IsValid() || a.dhcp }

// An ipFlag is a value of --ip: an address with its network or, if that is not
// valid, one of the words; and the card that it is of.
type ipFlag struct {
	card   int
	prefix netip.Prefix
	word   string
}

// A gatewayFlag is a value of --gateway.
type gatewayFlag struct {
	card int
	addr netip.Addr
}

// ofCard writes before a value of which card it is, as [params.CutCard] reads it.
func ofCard(n int, value any) string {
	if n == 0 {
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("eth%d:%v", n, value)
}

// cutCard takes the card off the value of a flag.
func cutCard(s string) (n int, rest string, err error) {
	n, rest = params.CutCard(s)
	if rest == s && strings.HasPrefix(s, "eth") {
		return 0, "", hint.Errorf(fmt.Sprintf("write a card from eth0: to eth%d: before the value, or none for eth0", params.MaxCards-1), "no such network card")
	}
	return n, rest, nil
}

// The words: the guest finds its addresses; or has ones next to the host's on the
// tap, of which it is told.
const (
	ipDHCP = "dhcp"
	ipHost = "host"
)

// parseIP reads a value of --ip.
func parseIP(s string) (f ipFlag, err error) {
	if f.card, s, err = cutCard(s); err != nil {
		return f, err
	}
	if s == ipDHCP || s == ipHost {
		f.word = s
		return f, nil
	}
	f.prefix, err = cli.ParsePrefix(s)
	return f, err
}

// parseGateway reads a value of --gateway.
func parseGateway(s string) (f gatewayFlag, err error) {
	if f.card, s, err = cutCard(s); err != nil {
		return f, err
	}
	f.addr, err = cli.ParseAddr(s)
	return f, err
}

// staticAddresses sorts --ip and --gateway by card and family, of which each card has
// one address.
func staticAddresses(cards int, ips []ipFlag, gateways []gatewayFlag) ([]addresses, error) {
	list := make([]addresses, cards)
	for n := range list {
		list[n].card = n
	}
	for _, f := range ips {
		if f.card >= cards {
			return nil, noCard("--ip", f.card)
		}
		if err := list[f.card].add(f); err != nil {
			return nil, err
		}
	}
	for n := range list {
		if err := list[n].check(); err != nil {
			return nil, err
		}
	}
	for _, g := range gateways {
		if g.card >= cards {
			return nil, noCard("--gateway", g.card)
		}
		if err := list[g.card].addGateway(g.addr); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func noCard(flag string, n int) error {
	return hint.Errorf("add a --net for each card, eth0 first", "%s is for eth%d, and there is no such network card", flag, n)
}

// check refuses values of --ip that contradict each other.
func (a *addresses) check() error {
	if a.dhcp && a.ip.IsValid() {
		return hint.Errorf("remove one of them", "--ip %s and --ip %s both give the guest its IPv4 address", ofCard(a.card, ipDHCP), ofCard(a.card, a.ip))
	}
	if a.host && a.given() {
		return hint.Errorf("remove it, or the others", "--ip %s chooses all addresses, and there is another --ip", ofCard(a.card, ipHost))
	}
	return nil
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
		return hint.Errorf("give one IPv4 and one IPv6 address", "--ip %s and --ip %s are of the same family", ofCard(a.card, *to), ofCard(a.card, p))
	}
	*to = p
	return nil
}

// addGateway takes a value of --gateway.
func (a *addresses) addGateway(g netip.Addr) error {
	to, ip := &a.gw, a.ip
	if g.Is6() {
		to, ip = &a.gw6, a.ip6
	}
	switch written := ofCard(a.card, g); {
	case to.IsValid():
		return hint.Errorf("give one IPv4 and one IPv6 gateway", "--gateway %s and --gateway %s are of the same family", ofCard(a.card, *to), written)
	case !ip.IsValid():
		return hint.Errorf("add --ip "+ofCard(a.card, "ADDRESS/BITS")+" of the same family", "--gateway %s needs a static address", written)
	case !ip.Contains(g) && !g.IsLinkLocalUnicast():
		return hint.Errorf("check both; the number after / is the length of the network", "--gateway %s is not in the network of --ip %s", written, ofCard(a.card, ip))
	}
	*to = g
	return nil
}

// params writes a as boot parameters, which package netstack reads.
func (a *addresses) params() string { return strings.Join(a.words(), " ") }

func (a *addresses) words() (words []string) {
	add := func(key string, valid bool, value any) {
		if valid {
			words = append(words, key+"="+ofCard(a.card, value))
		}
	}
	add("ip", a.dhcp, ipDHCP)
	add("ip", a.ip.IsValid(), a.ip)
	add("gw", a.gw.IsValid(), a.gw)
	add("ip6", a.ip6.IsValid(), a.ip6)
	add("gw6", a.gw6.IsValid(), a.gw6)
	return words
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
