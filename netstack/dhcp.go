package netstack

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/params"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// startDHCP finds the addresses of those cards on their networks that want it, in the
// background. It is nil in images without DHCP.
var startDHCP func(*Stack) error

// addressSecret is what UseDHCP was given.
var addressSecret []byte

// UseDHCP links the clients of DHCP, and with them what IPv6 routers advertise:
// network cards without a static address get theirs so, and for others it is looked
// whether another machine has it. Of secret, at least 16
// random bytes, stable addresses are made (RFC 7217); if it is nil, of the MAC. It is called before the
// first stack is made.
func UseDHCP(secret []byte) {
	startDHCP, newRouters, addressSecret = runDHCP, makeRouters, secret
	watchStatic = (*card).watchStatic
}

// maxHeard bounds the frames that wait for the client; more are dropped.
const maxHeard = 16

// A dhcp keeps the addresses of a network card.
type dhcp struct {
	s     *Stack
	card  *card
	c     *dhcp4.Client
	slaac *slaac
	start time.Time
	heard chan heardFrame
	addr  tcpip.AddressWithPrefix // configured; empty for none
	mtu   uint32                  // of the card
	lease dhcp4.Lease             // that the address is of
	count [dhcp4.Events]uint64    // by event
	six   lease6
}

type heardFrame struct {
	b         []byte
	validated bool
}

func runDHCP(s *Stack) error {
	cards := slices.DeleteFunc(slices.Clone(s.cards), func(c *card) bool { return !c.finds() })
	if len(cards) == 0 {
		return nil
	}
	s.waiting.Store(newWaiting(len(cards)))
	libos.BeforeResolver(s.await)
	for _, c := range cards {
		if err := c.runDHCP(); err != nil {
			return err
		}
	}
	return nil
}

func (c *card) runDHCP() error {
	s := c.s
	d := &dhcp{s: s, card: c, slaac: newSLAAC(c), start: time.Now(), heard: make(chan heardFrame, maxHeard), mtu: c.link.MTU()}
	d.c = dhcp4.New(dhcp4.Config{
		MAC: c.link.dev.MAC(), Hostname: s.config.Hostname,
		Random: random32, Send: c.sendFrame, Notify: d.notify,
	})
	s.routers.(*routers).cards[c.nic-ethernetNIC] = d.slaac
	if !c.config.IP6.IsValid() { // before what is received is looked at
		if err := d.slaac.enable(); err != nil {
			return err
		}
	}
	hear := d.hear
	if static := c.link.hear.Load(); static != nil {
		hear = func(pkt *stack.PacketBuffer, validated bool) bool {
			return (*static)(pkt, validated) || d.hear(pkt, validated)
		}
	}
	c.link.hear.Store(&hear)
	if err := s.ip.EnableNIC(c.nic); err != nil {
		return stackError("enable "+c.name, err)
	}
	d.publish()
	d.c.Start(0)
	go d.run()
	return nil
}

func random32() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // which does not fail
	return binary.NativeEndian.Uint32(b[:])
}

// run is the client's goroutine.
func (d *dhcp) run() {
	timer := time.NewTimer(0)
	for {
		select {
		case f := <-d.heard:
			d.frame(time.Since(d.start), f)
		case <-timer.C:
		case <-d.slaac.changed:
			d.slaac.configure()
			d.changed6(time.Since(d.start))
			d.learn()
		}
		now := time.Since(d.start)
		d.c.Tick(now)
		left, forgot := d.slaac.expire()
		if forgot {
			d.learn()
		}
		timer.Reset(min(d.c.Next()-now, d.tick6(now), left))
	}
}

// frame shows a frame to the clients.
func (d *dhcp) frame(now time.Duration, f heardFrame) {
	d.c.Frame(now, f.b, f.validated)
	if d.six.c != nil {
		d.six.c.Frame(now, f.b, f.validated)
	}
}

// hear passes on what concerns the clients and reports whether the stack needs
// not see it. It runs where packets are received, and does not block.
func (d *dhcp) hear(pkt *stack.PacketBuffer, validated bool) bool {
	switch pkt.NetworkProtocolNumber {
	case arp.ProtocolNumber:
	case ipv4.ProtocolNumber:
		if !toClient(pkt) {
			return false
		}
	case ipv6.ProtocolNumber:
		if !toClient6(pkt) || !d.slaac.enabled {
			return false
		}
	default:
		return false
	}
	b := pkt.ToBuffer()
	defer b.Release()
	select {
	case d.heard <- heardFrame{b.Flatten(), validated}:
	default:
	}
	return pkt.NetworkProtocolNumber != arp.ProtocolNumber
}

// toClient reports whether an IPv4 packet may be for a DHCP client.
func toClient(pkt *stack.PacketBuffer) bool {
	b, ok := pkt.Data().PullUp(header.IPv4MinimumSize + header.UDPMinimumSize)
	return ok && dhcp4.IsReply(b)
}

// notify does what an event asks for and says so, in one line.
func (d *dhcp) notify(e dhcp4.Event, l *dhcp4.Lease) {
	d.count[e]++
	defer d.publish()
	what := ""
	switch e {
	case dhcp4.Bound:
		what = "has its address"
		d.apply(l)
	case dhcp4.Renewed:
		what = "keeps its address"
		d.apply(l)
	case dhcp4.Expired:
		what = "loses its address, which no server has renewed"
		d.remove()
	case dhcp4.Refused:
		what = "loses its address, which the server does not know any more"
		d.remove()
	case dhcp4.Conflict:
		d.card.conflicts.Add(1)
		what = "declines an address, which another machine has"
		d.remove()
	case dhcp4.Contested:
		d.card.conflicts.Add(1)
		what = "keeps its address, which another machine has, too"
	case dhcp4.NoAnswer:
		println("tailor: network: " + d.card.name + " has no address: no DHCP server has answered; looking further")
		return
	}
	what = "tailor: network: " + d.card.name + " " + what + ": " + l.Addr.String() + " by DHCP from " + l.Server.String()
	if e <= dhcp4.Renewed && l.Duration != dhcp4.Forever {
		what += " for " + l.Duration.String()
	}
	println(what)
}

// apply configures what a lease says, where the boot parameters do not.
func (d *dhcp) apply(l *dhcp4.Lease) {
	a := tcpip.AddressWithPrefix{Address: tcpip.AddrFrom4(l.Addr.Addr().As4()), PrefixLen: l.Addr.Bits()}
	if d.addr != a {
		d.remove()
		if err := d.s.addAddress(d.card.nic, ipv4.ProtocolNumber, a); err != nil {
			println("tailor:", err.Error())
			return
		}
		d.addr = a
	}
	d.routes(l)
	if d.card.config.MTU == 0 {
		d.setMTU(l.MTU)
	}
	d.lease = *l
	d.learn()
	d.card.arrived()
}

// publish shows where things stand to whom it concerns.
func (d *dhcp) publish() {
	f := &Found{Device: d.card.name, Events: d.count}
	if l := &d.lease; l.Addr.IsValid() {
		f.Addr, f.Server, f.NTP, f.Forever = l.Addr, l.Server, l.NTP, l.Duration == dhcp4.Forever
		f.Until = d.start.Add(d.c.End())
	}
	d.publish6(f)
	d.card.found.Store(f)
}

// learn passes on what DHCP and routers say of names, DHCP first (RFC 8106 section
// 5.3.1), and of that IPv4's. What eth0's network says comes before eth1's.
func (d *dhcp) learn() {
	dns, search := d.slaac.names()
	dns, search = append(d.card.text(d.six.lease.DNS), dns...), slices.Concat(d.six.lease.Search, search)
	l := &d.lease
	given := l.Search
	if given == nil && l.Domain != "" {
		given = []string{l.Domain}
	}
	name := l.Hostname
	if !params.IsHostname(name) {
		name = ""
	}
	d.card.learn(names{once(d.card.text(l.DNS), dns), once(given, search), name})
}

// learn joins what the cards' networks say of names, of which one says n.
func (c *card) learn(n names) {
	s := c.s
	s.learn.Lock()
	defer s.learn.Unlock()
	c.learned = n
	all := join(s.list())
	libos.Learn(all.dns, all.search, all.host)
}

// join puts the names of cards together, the first card's first.
func join(cards []*card) (all names) {
	for _, c := range cards {
		all.dns, all.search = once(all.dns, c.learned.dns), once(all.search, c.learned.search)
		all.host = cmp.Or(all.host, c.learned.host)
	}
	return all
}

// once joins lists, without what comes again.
func once(lists ...[]string) (all []string) {
	for _, s := range slices.Concat(lists...) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func (c *card) text(addrs []netip.Addr) (list []string) {
	for _, a := range addrs {
		if a.IsLinkLocalUnicast() && a.Is6() {
			a = a.WithZone(c.name)
		}
		list = append(list, a.String())
	}
	return list
}

// setMTU takes a smaller MTU than the card's, as far as IPv6 can live with it.
func (d *dhcp) setMTU(n int) {
	m := d.mtu
	if n > 0 {
		m = min(m, uint32(max(n, params.MinMTU)))
	}
	d.card.link.SetMTU(m)
}

// remove takes the address away, and the routes.
func (d *dhcp) remove() {
	if d.addr.Address.Len() == 0 {
		return
	}
	d.removeRoutes()
	_ = d.s.ip.RemoveAddress(d.card.nic, d.addr.Address)
	d.addr = tcpip.AddressWithPrefix{}
	d.lease = dhcp4.Lease{}
	d.learn()
}

func (d *dhcp) removeRoutes() {
	d.s.ip.RemoveRoutes(func(r tcpip.Route) bool {
		return r.NIC == d.card.nic && r.Destination.ID().Len() == header.IPv4AddressSize
	})
}

// routes replaces all routes by those of the address and of its lease.
func (d *dhcp) routes(l *dhcp4.Lease) {
	d.removeRoutes()
	d.s.addRoute(tcpip.Route{Destination: d.addr.Subnet(), NIC: d.card.nic})
	d.s.addRoute(tcpip.Route{Destination: ipv4Multicast, NIC: d.card.nic})
	for _, r := range l.Routes {
		to := tcpip.Route{Destination: subnet(tcpip.AddrFrom4(r.To.Addr().As4()), r.To.Bits()), NIC: d.card.nic}
		if r.Via.IsValid() {
			to.Gateway = tcpip.AddrFrom4(r.Via.As4())
		}
		d.s.addRoute(to)
	}
}

// addRoute adds a route before those of later cards to the same network: the stack
// takes the first.
func (s *Stack) addRoute(r tcpip.Route) {
	s.ip.AddRoute(r)
	var later []tcpip.Route
	s.ip.RemoveRoutes(func(o tcpip.Route) bool {
		if o.Destination != r.Destination || o.NIC <= r.NIC {
			return false
		}
		later = append(later, o)
		return true
	})
	for _, o := range later {
		s.ip.AddRoute(o)
	}
}
