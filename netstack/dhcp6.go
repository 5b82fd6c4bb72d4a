package netstack

import (
	"net/netip"
	"slices"
	"time"

	"github.com/tailor-os/tailor/netstack/dhcp6"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A lease6 is what DHCP for IPv6 has given; the goroutine of its [dhcp] has it.
type lease6 struct {
	c     *dhcp6.Client // nil before a router says that there is a server
	lease dhcp6.Lease
	addrs []netip.Addr // of the lease, that were configured
	count [dhcp6.Events]uint64
}

// toClient6 reports whether an IPv6 packet may be for a DHCP client.
func toClient6(pkt *stack.PacketBuffer) bool {
	b, ok := pkt.Data().PullUp(header.IPv6MinimumSize + header.UDPMinimumSize)
	return ok && dhcp6.IsReply(b)
}

// changed6 takes notice of what routers and the detection of duplicates say.
func (d *dhcp) changed6(now time.Duration) {
	mode, verdicts := d.slaac.news()
	if mode != dhcp6.Nothing {
		if d.six.c == nil {
			d.six.c = dhcp6.New(dhcp6.Config{
				MAC: d.card.link.dev.MAC(), Local: d.slaac.local.As16(), Hostname: d.s.config.Hostname,
				Random: random32, Send: d.card.sendFrame, Notify: d.notify6,
			})
		}
		d.six.c.Start(now, mode)
	}
	for _, v := range verdicts {
		a := netip.AddrFrom16(v.addr.As16())
		switch {
		case !slices.Contains(d.six.addrs, a):
		case v.dup:
			d.six.c.Duplicate(now, a)
		default:
			d.say6(a, "has its address")
			time.AfterFunc(otherFamily, d.card.arrived)
		}
	}
}

// tick6 does what is due and returns how long there is nothing else.
func (d *dhcp) tick6(now time.Duration) time.Duration {
	if d.six.c == nil {
		return dhcp6.Forever
	}
	d.six.c.Tick(now)
	return d.six.c.Next() - now
}

// notify6 does what an event asks for and says so, in one line for each address.
func (d *dhcp) notify6(e dhcp6.Event, l *dhcp6.Lease) {
	d.six.count[e]++
	defer d.publish()
	switch e {
	case dhcp6.Bound, dhcp6.Renewed:
		d.apply6(l)
	case dhcp6.Informed:
		d.six.lease = *l
	case dhcp6.Deprecated:
		d.deprecate6(true)
	case dhcp6.Expired:
		d.remove6(d.six.addrs, "loses its address, which no server has renewed")
	case dhcp6.Refused:
		d.remove6(d.six.addrs, "loses its address, which the server does not know any more")
	case dhcp6.Conflict:
		d.card.conflicts.Add(1)
		d.remove6(l.Addrs, "declines an address, which another machine has")
	case dhcp6.NoAnswer:
		println("tailor: network: " + d.card.name + ": no DHCPv6 server has answered, of which a router says that it is there; looking further")
	}
	d.learn()
}

// say6 tells of an address.
func (d *dhcp) say6(a netip.Addr, what string) {
	l := &d.six.lease
	what = "tailor: network: " + d.card.name + " " + what + ": " + a.String() + " by DHCPv6 from " + l.Server.String()
	if l.Duration != dhcp6.Forever {
		what += " for " + l.Duration.String()
	}
	println(what)
}

// apply6 configures the addresses of a lease, of which there may be others than
// before. New ones are in use when their detection of duplicates has ended.
func (d *dhcp) apply6(l *dhcp6.Lease) {
	d.remove6(slices.DeleteFunc(slices.Clone(d.six.addrs), func(a netip.Addr) bool { return slices.Contains(l.Addrs, a) }),
		"loses its address, which the server gives no more")
	d.six.lease = *l
	var leased []tcpip.Address
	for _, a := range l.Addrs {
		leased = append(leased, tcpip.AddrFrom16(a.As16()))
	}
	d.slaac.lease(leased)
	for i, a := range l.Addrs {
		if slices.Contains(d.six.addrs, a) {
			d.say6(a, "keeps its address")
			continue
		}
		// The lease says nothing of who is on the link; routers do.
		p := tcpip.AddressWithPrefix{Address: leased[i], PrefixLen: header.IPv6AddressSizeBits}
		if err := d.s.addAddress(d.card.nic, ipv6.ProtocolNumber, p); err != nil {
			println("tailor:", err.Error())
			continue
		}
		d.six.addrs = append(d.six.addrs, a)
	}
	d.deprecate6(false)
}

// deprecate6 says whether the addresses are not for new connections any more.
func (d *dhcp) deprecate6(old bool) {
	for _, a := range d.six.addrs {
		_ = d.s.ip.SetAddressLifetimes(d.card.nic, tcpip.AddrFrom16(a.As16()), stack.AddressLifetimes{Deprecated: old})
	}
}

// remove6 takes addresses away, and with the last one what else the lease said.
func (d *dhcp) remove6(list []netip.Addr, why string) {
	for _, a := range slices.Clone(list) {
		if i := slices.Index(d.six.addrs, a); i >= 0 {
			d.six.addrs = slices.Delete(d.six.addrs, i, i+1)
		}
		_ = d.s.ip.RemoveAddress(d.card.nic, tcpip.AddrFrom16(a.As16())) // which may be gone
		println("tailor: network: " + d.card.name + " " + why + ": " + a.String() + " by DHCPv6 from " + d.six.lease.Server.String())
	}
	if len(list) > 0 && len(d.six.addrs) == 0 {
		d.six.lease = dhcp6.Lease{}
	}
}

// publish6 shows where things stand.
func (d *dhcp) publish6(f *Found) {
	l := &d.six.lease
	f.NTP = slices.Concat(f.NTP, l.NTP)
	f.V6.Asked, f.V6.Events = d.six.c != nil, d.six.count
	if len(d.six.addrs) > 0 {
		f.V6.Addrs, f.V6.Server, f.V6.Forever = slices.Clone(d.six.addrs), l.Server, l.Duration == dhcp6.Forever
		f.V6.Until = d.start.Add(d.six.c.End())
	}
}
