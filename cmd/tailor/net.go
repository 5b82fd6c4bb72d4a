package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/guest"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/tap"
	"github.com/tailor-os/tailor/internal/usernet"
	"github.com/tailor-os/tailor/params"
)

// checkNet refuses combinations of network flags that mean nothing.
func (o *runOptions) checkNet() error {
	if o.defaultNet = len(o.nets) == 0; o.defaultNet {
		o.nets = []cli.Net{{Kind: "user"}}
	}
	if err := o.checkCards(); err != nil {
		return err
	}
	switch first := o.nets[0].Kind; {
	case len(o.publish) > 0 && !o.hasNet("user"):
		return hint.Errorf("remove -p: "+map[string]string{
			"none": "there is no network",
			"tap":  "the guest has an address of its own on the tap",
		}[first], "-p %s works with --net user only", o.publish[0])
	case first == "none" && len(o.ip)+len(o.gateways)+len(o.dns) > 0:
		return hint.Errorf("remove --net none, or the addresses", "--ip, --gateway and --dns need a network")
	}
	addrs, err := staticAddresses(len(o.nets), o.ip, o.gateways)
	if err != nil {
		return err
	}
	for n, a := range addrs {
		if o.nets[n].Kind == "user" && (a.given() || a.host || a.gw.IsValid() || a.gw6.IsValid()) {
			return errUserAddresses
		}
	}
	o.addrs = addrs
	return o.checkPorts()
}

var errUserAddresses = hint.Errorf("use them with --net tap:NAME, or remove them",
	"--ip and --gateway need --net tap:NAME: the user network gives the guest its addresses")

// checkCards refuses networks that do not go together.
func (o *runOptions) checkCards() error {
	if len(o.nets) > params.MaxCards {
		return hint.Errorf("remove some of --net", "%d network cards are too many: a guest has %d at the most", len(o.nets), params.MaxCards)
	}
	for i, n := range o.nets {
		switch {
		case n.Kind == "none" && len(o.nets) > 1:
			return hint.Errorf("remove it, or the others", "--net none is for a guest without any network card, and there is another --net")
		case !slices.Contains(o.nets[:i], n):
		case n.Kind == "user":
			return hint.Errorf("remove one of them", "--net user is there twice: a guest has one card in the user network")
		default:
			return hint.Errorf("give each card a tap of its own", "--net tap:%s is there twice", n.Tap)
		}
	}
	if o.nets[0].Kind == "user" && len(o.nets) == 1 && len(o.ip)+len(o.gateways) > 0 {
		return errUserAddresses
	}
	return nil
}

// hasNet reports whether there is a card of a kind.
func (o *runOptions) hasNet(kind string) bool {
	return slices.ContainsFunc(o.nets, func(n cli.Net) bool { return n.Kind == kind })
}

// onlyUser reports whether the network is what it is without any flag.
func (o *runOptions) onlyUser() bool { return len(o.nets) == 1 && o.hasNet("user") }

// wantsDHCP reports whether what is built is to find its addresses, or whether others
// have them, as on a tap it may.
func (o *runOptions) wantsDHCP() bool { return o.hasNet("tap") }

// params are the guest's boot parameters.
func (c *vmConfig) params(w wire) string {
	var words []string
	for i := range w.addrs {
		words = append(words, w.addrs[i].words()...)
	}
	for _, d := range w.dns {
		words = append(words, "dns="+d.String())
	}
	p := strings.Join(words, " ") + c.defaults(words)
	if c.Trace != "" {
		p += " trace=" + c.Trace
	}
	return strings.TrimSpace(p)
}

// defaults tells a guest that has settings on a volume which of its addresses, as
// boot parameters, nobody has given, so that those there count more.
func (c *vmConfig) defaults(words []string) string {
	if !slices.ContainsFunc(c.Volumes, func(v guest.Volume) bool { return v.Name == guest.ConfVolume }) {
		return ""
	}
	var keys []string
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		n, _ := params.CutCard(value)
		addrs := c.given(n)
		given := addrs.given()
		if name == "dns" {
			given = len(c.DNS) > 0
		}
		if key := params.Key(word); !given && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	if keys == nil {
		return ""
	}
	return " " + params.Defaults + "=" + strings.Join(keys, ",")
}

// given returns the addresses that the user has given to card n.
func (c *vmConfig) given(n int) addresses {
	if n < len(c.Addrs) {
		return c.Addrs[n]
	}
	return addresses{card: n}
}

// A wire is the host's side of the guest's network.
type wire struct {
	devices []*guest.Net // eth0 first
	addrs   []addresses
	dns     []netip.Addr
	closers []func() error
}

func (w *wire) close() error {
	var errs []error
	for _, f := range w.closers {
		errs = append(errs, f())
	}
	return errors.Join(errs...)
}

// wantsNet reports whether the image has a network device.
func wantsNet(img *image.Image) bool {
	for _, d := range img.Note.Devices {
		if d.Type == "net" {
			return true
		}
	}
	return false
}

func (c *vmConfig) openNet() (wire, error) {
	w := wire{dns: c.DNS} // for /etc/resolv.conf
	if !wantsNet(c.Image) {
		c.warnNoNet()
		return w, nil
	}
	for n, net := range c.Nets {
		var err error
		switch net.Kind {
		case "tap":
			err = c.openTap(&w, n)
		case "none":
		default:
			err = c.openUser(&w, n)
		}
		if err != nil {
			w.close()
			return wire{}, err
		}
	}
	return w, nil
}

// warnNoNet says which flags mean nothing to a program without a network.
func (c *vmConfig) warnNoNet() {
	if len(c.Publish) > 0 {
		c.Log.Warnf("-p %s has no effect: the program does not import net", c.Publish[0])
	}
	for _, n := range c.Nets {
		if n.Tap != "" {
			c.Log.Warnf("--net tap:%s has no effect: the program does not import net", n.Tap)
		}
	}
}

// openTap makes card n one on a tap.
func (c *vmConfig) openTap(w *wire, n int) error {
	dev, err := tap.Open(c.Nets[n].Tap)
	if err != nil {
		return err
	}
	w.closers = append(w.closers, dev.Close)
	info := dev.Info()
	card := &guest.Net{FD: dev.FD(), MTU: uint16(min(info.MTU, 65535))}
	copy(card.MAC[:], info.GuestMAC())
	addrs, err := c.tapAddresses(info, n)
	if err != nil {
		return err
	}
	w.devices, w.addrs = append(w.devices, card), append(w.addrs, addrs)
	if !info.Up {
		c.Log.Warnf("%s is down and passes nothing: sudo ip link set %s up", info.Name, info.Name)
	}
	if given := c.given(n); !given.given() {
		c.Log.Infof("network %s: %s", info.Name, addrs.chosen())
	}
	return nil
}

// tapAddresses returns the addresses of card n on a tap: those that are given; else it
// finds them, if it can, or has ones next to the host's.
func (c *vmConfig) tapAddresses(info tap.Info, n int) (addresses, error) {
	addrs := c.given(n)
	if addrs.given() {
		return addrs, nil
	}
	if !addrs.host && c.hasDHCP() {
		addrs.dhcp = true
		return addrs, nil
	}
	return addrs, addrs.suggest(info)
}

// hasDHCP reports whether the guest can find its addresses. Without an image, it is
// one that is built for it.
func (c *vmConfig) hasDHCP() bool {
	return c.Image == nil || c.Image.Note.Target == build.Virtio || slices.Contains(c.Image.Note.Services, build.DHCP)
}

// chosen says which addresses were chosen for a guest on a tap.
func (a *addresses) chosen() string {
	if a.dhcp {
		return "the guest finds its addresses, by DHCP and from routers (--ip " + ofCard(a.card, ipHost) + ": next to the host's)"
	}
	return a.params()
}

// suggest fills in addresses next to the host's own on a tap.
func (a *addresses) suggest(info tap.Info) error {
	var ok4, ok6 bool
	a.ip, a.gw, ok4 = info.Suggest(false)
	a.ip6, a.gw6, ok6 = info.Suggest(true)
	if ok4 || ok6 {
		return nil
	}
	remedy, why := "add --ip "+ofCard(a.card, "ADDRESS/BITS"), ""
	if !a.host {
		remedy, why = "build the image with --dhcp, "+remedy, "the image has no DHCP client, "
	}
	return hint.Errorf(fmt.Sprintf("%s, or give the host one: sudo ip addr add 192.0.2.1/24 dev %s", remedy, info.Name),
		"no address for the guest: %s--ip does not give one, and the host has none on %s to go by", why, info.Name)
}

// openUser makes card n one in the user network.
func (c *vmConfig) openUser(w *wire, n int) error {
	u, err := usernet.New(usernet.Config{Forwards: forwards(c.Publish), Bare: c.Target == targetQEMU, Log: c.Log.Warnf})
	if err != nil {
		return err
	}
	w.closers = append(w.closers, u.Close)
	if c.Verbose {
		for i, at := range u.Published() {
			c.Log.Infof("port %d/%s of the guest is %s here", c.Publish[i].Guest, c.Publish[i].Proto(), at)
		}
	}
	plan := u.Guest()
	w.addUser(addresses{card: n, ip: plan.IPv4, gw: plan.Gateway4, ip6: plan.IPv6, gw6: plan.Gateway6}, plan.DNS4, plan.DNS6)
	card := &guest.Net{FD: u.GuestFD(), MTU: uint16(min(plan.MTU, 65535))}
	copy(card.MAC[:], plan.MAC)
	w.devices = append(w.devices, card)
	return nil
}

// addUser takes the addresses in a user network, and its name servers if none are
// given and no card before finds any.
func (w *wire) addUser(a addresses, dns ...netip.Addr) {
	finds := slices.ContainsFunc(w.addrs, func(a addresses) bool { return a.dhcp })
	if len(w.dns) == 0 && !finds {
		w.dns = dns
	}
	w.addrs = append(w.addrs, a)
}

func forwards(publish []cli.Publish) (out []usernet.Forward) {
	for _, p := range publish {
		out = append(out, usernet.Forward{
			Network: p.Proto(), HostAddr: netip.AddrPortFrom(p.Addr, p.Host), GuestPort: p.Guest,
		})
	}
	return out
}
