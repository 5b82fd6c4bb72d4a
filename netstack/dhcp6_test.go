package netstack

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/netstack/dhcp6"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// newFinder returns what finds addresses for a stack with a card, at rest.
func newFinder(t *testing.T) *dhcp {
	t.Helper()
	c, err := netdevtest.New(netdevtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	s := newStack(t)
	if err := s.Start(c.Device[0], "ip=10.9.0.1/24"); err != nil {
		t.Fatal(err)
	}
	a, _ := newRoutersFor(s.cards[0])
	d := &dhcp{s: s, card: s.cards[0], slaac: a, start: time.Now()}
	d.c = dhcp4.New(dhcp4.Config{})
	d.six.c = dhcp6.New(dhcp6.Config{Random: random32, Send: func([]byte) {}, Notify: d.notify6})
	return d
}

// newRoutersFor returns what keeps what routers say to a card, and whom the stack tells.
func newRoutersFor(c *card) (*slaac, *routers) {
	r := makeRouters(&ipv6.Options{}).(*routers)
	a := newSLAAC(c)
	r.cards[c.nic-ethernetNIC] = a
	return a, r
}

// addresses6 are the global IPv6 addresses of the card, those not for new connections
// in brackets.
func (d *dhcp) addresses6() (list []string) {
	info := d.s.ip.NICInfo()[ethernetNIC]
	ep, _ := d.s.ip.GetNetworkEndpoint(ethernetNIC, ipv6.ProtocolNumber)
	for _, a := range info.ProtocolAddresses {
		if a.Protocol != ipv6.ProtocolNumber || header.IsV6LinkLocalUnicastAddress(a.AddressWithPrefix.Address) {
			continue
		}
		text := a.AddressWithPrefix.String()
		if e := ep.(stack.AddressableEndpoint).AcquireAssignedAddress(a.AddressWithPrefix.Address, false, stack.NeverPrimaryEndpoint, true); e != nil && e.Deprecated() {
			text = "(" + text + ")"
		}
		list = append(list, text)
	}
	slices.Sort(list)
	return list
}

// TestLease6: what the card has follows what a server gives, and so do the figures.
func TestLease6(t *testing.T) {
	d := newFinder(t)
	one, two := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	lease := func(addrs ...netip.Addr) *dhcp6.Lease {
		return &dhcp6.Lease{Addrs: addrs, Server: netip.MustParseAddr("fe80::9"), Duration: time.Minute,
			DNS: []netip.Addr{netip.MustParseAddr("fe80::53")}, NTP: []netip.Addr{netip.MustParseAddr("2001:db8::123")}}
	}
	for _, step := range []struct {
		e     dhcp6.Event
		l     *dhcp6.Lease
		want  string
		bound float64
	}{
		{dhcp6.Bound, lease(one, two), "[2001:db8::1/128 2001:db8::2/128]", 1},
		{dhcp6.Deprecated, lease(one, two), "[(2001:db8::1/128) (2001:db8::2/128)]", 1},
		{dhcp6.Renewed, lease(one, two), "[2001:db8::1/128 2001:db8::2/128]", 1},
		{dhcp6.Conflict, lease(one), "[2001:db8::2/128]", 1},
		{dhcp6.Renewed, lease(one), "[2001:db8::1/128]", 1},
		{dhcp6.Refused, lease(one), "[]", 0},
		{dhcp6.NoAnswer, nil, "[]", 0},
		{dhcp6.Bound, lease(two), "[2001:db8::2/128]", 1},
		{dhcp6.Expired, lease(two), "[]", 0},
		{dhcp6.Informed, &dhcp6.Lease{Server: netip.MustParseAddr("fe80::9"), NTP: lease().NTP}, "[]", 0},
	} {
		d.notify6(step.e, step.l)
		if got := fmt.Sprint(d.addresses6()); got != step.want {
			t.Errorf("%v: %s, want %s", step.e, got, step.want)
		}
		all := figuresOf(t, d.s)
		if all["dhcp6_bound"] != step.bound || (all["dhcp6_lease_remaining_seconds"] != 0) != (step.bound == 1) || all["dhcp6_events_total "+step.e.String()] < 1 {
			t.Errorf("%v: figures %v", step.e, all)
		}
		if f := d.card.found.Load(); len(f.NTP) != 1 && (step.bound == 1 || step.e == dhcp6.Informed) {
			t.Errorf("%v: time servers %v", step.e, f.NTP)
		}
	}
	if n := d.card.conflicts.Load(); n != 1 {
		t.Errorf("%d conflicts", n)
	}
}

// TestRoutersFlags: what a router says that there is, counts, whatever others say; and
// not before the link-local address can be used.
func TestRoutersFlags(t *testing.T) {
	d := newFinder(t)
	a := d.slaac
	a.local = header.LinkLocalAddr(d.card.link.mac)
	for _, step := range []struct {
		say  ipv6.DHCPv6ConfigurationFromNDPRA
		want dhcp6.Mode
	}{
		{ipv6.DHCPv6NoConfiguration, dhcp6.Nothing},
		{ipv6.DHCPv6OtherConfigurations, dhcp6.Information},
		{ipv6.DHCPv6NoConfiguration, dhcp6.Information},
		{ipv6.DHCPv6ManagedAddress, dhcp6.Addresses},
		{ipv6.DHCPv6OtherConfigurations, dhcp6.Addresses},
	} {
		a.ready = false
		a.dhcpConfiguration(step.say)
		if m, _ := a.news(); m != dhcp6.Nothing {
			t.Errorf("%v, while there is no address to ask from", m)
		}
		a.detected(a.local, &stack.DADSucceeded{})
		if m, _ := a.news(); m != step.want {
			t.Errorf("after %v: %v, want %v", step.say, m, step.want)
		}
	}
}

// TestManyAdvertised: routers that say much, and verdicts that nobody takes, do not
// fill the memory.
func TestManyAdvertised(t *testing.T) {
	a := newFinder(t).slaac
	via := header.LinkLocalAddr("\x02\x00\x00\x00\x00\x01")
	var leased []tcpip.Address
	for i := range byte(200) {
		addr := tcpip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, i, 15: 1})
		a.addRoute(subnet(addr, 64), via)
		leased = append(leased, addr)
	}
	a.lease(leased)
	for _, addr := range leased {
		a.detected(addr, &stack.DADSucceeded{})
	}
	if len(a.routes) != maxRoutes || len(a.verdicts) != maxVerdicts {
		t.Errorf("%d routes, %d verdicts", len(a.routes), len(a.verdicts))
	}
	if a.removeRoute(subnet(leased[0], 64), via); len(a.routes) != maxRoutes-1 {
		t.Errorf("%d routes after one was taken back", len(a.routes))
	}
}

// TestTemporary: which addresses are told to be temporary.
func TestTemporary(t *testing.T) {
	a := newFinder(t).slaac
	of := func(iid []byte) tcpip.Address {
		return tcpip.AddrFrom16([16]byte(append([]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, 0}, iid...)))
	}
	mac := header.EthernetAddressToModifiedEUI64(a.card.link.mac)
	secret := []byte("a secret of sixteen bytes and more")
	random, stable := of([]byte("8 random")), of(mac[:])
	if a.temporary(random) || a.temporary(stable) {
		t.Error("there are temporary addresses where none are wanted")
	}
	a.card.s.config.Temporary = true
	if !a.temporary(random) || a.temporary(stable) {
		t.Error("of the MAC")
	}
	a.secret = secret
	second := of(header.AppendOpaqueInterfaceIdentifier(nil, subnet(random, 64), a.card.name, 1, secret))
	if !a.temporary(random) || !a.temporary(stable) || a.temporary(second) {
		t.Error("of a secret")
	}
}
