package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
)

// newCables returns n of them.
func newCables(t *testing.T, n int) (list []*netdevtest.Cable) {
	t.Helper()
	for range n {
		c, err := netdevtest.New(netdevtest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		list = append(list, c)
	}
	return list
}

// A crossing is a stack with two cards, each with a neighbour: left is beyond eth0,
// the default route, right beyond eth1. Both say that they have far.
type crossing struct{ mid, left, right *Stack }

const far = "192.0.2.9"

func newCrossing(t *testing.T) crossing {
	t.Helper()
	cables := newCables(t, 2)
	x := crossing{newStack(t), newStack(t), newStack(t)}
	const words = "ip=eth1:10.8.0.1/24 ip=10.9.0.1/24 gw=10.9.0.2 gw=eth1:10.8.0.2 mtu=eth1:1400"
	for _, err := range []error{
		x.mid.Start(cables[0].Device[0], words, cables[1].Device[0]),
		x.left.Start(cables[0].Device[1], "ip=10.9.0.2/24 gw=10.9.0.1"),
		x.right.Start(cables[1].Device[1], "ip="+far+"/24"),
		x.left.cards[0].addNetwork(ipv4.ProtocolNumber, netip.MustParsePrefix(far+"/32"), netip.Addr{}),
		x.right.cards[0].addNetwork(ipv4.ProtocolNumber, netip.MustParsePrefix("10.8.0.2/32"), netip.Addr{}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	x.right.staticRoute(ethernetNIC, subnet(tcpip.AddrFrom4([4]byte{10, 8}), 24), tcpip.Address{})
	return x
}

// TestTwoCards: each has its own addresses, routes and MTU, answers leave by the card
// of their address, and a card does not answer for the other's.
func TestTwoCards(t *testing.T) {
	x := newCrossing(t)
	for _, c := range []struct {
		from, to *Stack
		addr     string
		peer     string // who has connected, as the other end sees it
	}{
		{x.left, x.mid, "10.9.0.1", "10.9.0.2"},
		{x.right, x.mid, "10.8.0.1", "10.8.0.2"},
		{x.mid, x.left, "10.9.0.2", "10.9.0.1"},
		{x.mid, x.right, "10.8.0.2", "10.8.0.1"},
		{x.mid, x.left, far, "10.9.0.1"},
		{x.mid, x.mid, "10.8.0.1", "10.8.0.1"},
	} {
		a, b, err := connPair(c.from, c.to, c.addr)
		if err != nil {
			t.Errorf("to %s: %v", c.addr, err)
			continue
		}
		if got := b.RemoteAddr().(*net.TCPAddr).IP.String(); got != c.peer {
			t.Errorf("to %s: from %s, want %s", c.addr, got, c.peer)
		}
		if err := transfer(a, b, 1<<20); err != nil {
			t.Errorf("to %s: %v", c.addr, err)
		}
		a.Close()
		b.Close()
	}
	// A peer to which the default route leads, eth0's: the answer leaves by eth1.
	l, err := x.mid.listen("10.8.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	k, _ := x.right.Socket(afInet, sockStream, 0)
	c := newTestConn(k, false)
	defer c.Close()
	if e := k.Bind(at(far, 0)); e != 0 {
		t.Fatalf("bind: errno %d", e)
	}
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if err := c.connect(at("10.8.0.1", 80)); err != nil {
		t.Errorf("from %s: %v", far, err)
	}
	stranger := make(chan error, 1)
	go func() {
		_, _, err := connPair(x.left, x.mid, "10.8.0.1")
		stranger <- err
	}()
	select {
	case err := <-stranger:
		if err == nil {
			t.Error("eth0 answers for eth1's address")
		}
	case <-time.After(200 * time.Millisecond):
	}
	var names []string
	for _, n := range x.mid.interfaces() {
		names = append(names, fmt.Sprint(n.Name, " ", n.MTU))
	}
	if got := strings.Join(names, ", "); got != "lo 65536, eth0 1500, eth1 1400" {
		t.Error(got)
	}
}

// TestBindToDevice: a socket of one card uses no other.
func TestBindToDevice(t *testing.T) {
	x := newCrossing(t)
	listener := func(s *Stack) libos.Socket {
		l, e := s.Socket(afInet, sockDgram, 0)
		if e != 0 || l.Bind(at(far, 99)) != 0 {
			t.Fatal("no listener")
		}
		t.Cleanup(func() { l.Close() })
		l.SetNonblock(true)
		return l
	}
	left, right := listener(x.left), listener(x.right)
	for _, c := range []struct {
		device    string
		to, other libos.Socket
	}{{"", left, right}, {"eth0", left, right}, {"eth1", right, left}} {
		s, _ := x.mid.Socket(afInet, sockDgram, 0)
		defer s.Close()
		if e := s.SetOption(solSocket, soBindtodevice, []byte(c.device+"\x00")); e != 0 {
			t.Fatalf("bind to %q: errno %d", c.device, e)
		}
		if e := s.Connect(at(far, 99)); e != 0 {
			t.Fatalf("connect: errno %d", e)
		}
		if _, e := s.Write([]byte("hello")); e != 0 {
			t.Fatalf("write: errno %d", e)
		}
		waitReady(t, c.to, libos.ReadyIn)
		c.to.Read(make([]byte, 9))
		if c.other.Ready()&libos.ReadyIn != 0 {
			t.Errorf("bound to %q: came to the wrong neighbour", c.device)
		}
	}
}

// TestBindToDeviceTCP: so does a connection.
func TestBindToDeviceTCP(t *testing.T) {
	x := newCrossing(t)
	l, err := x.right.listen(net.JoinHostPort(far, "99"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for device, reached := range map[string]bool{"eth0": false, "eth1": true} {
		k, _ := x.mid.Socket(afInet, sockStream, 0)
		c := newTestConn(k, false)
		defer c.Close()
		if e := k.SetOption(solSocket, soBindtodevice, []byte(device)); e != 0 {
			t.Fatalf("bind to %s: errno %d", device, e)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		// On the left nobody listens.
		if err := c.connect(at(far, 99)); (err == nil) != reached {
			t.Errorf("by %s: %v", device, err)
		}
	}
}

// TestBrokenCard: what uses a card that breaks ends, the rest goes on.
func TestBrokenCard(t *testing.T) {
	x := newCrossing(t)
	left, _, err := connPair(x.mid, x.left, "10.9.0.2")
	if err != nil {
		t.Fatal(err)
	}
	right, _, err := connPair(x.mid, x.right, "10.8.0.2")
	if err != nil {
		t.Fatal(err)
	}
	x.mid.Broken(2) // which is not there
	x.mid.Broken(1)
	right.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := right.Read(make([]byte, 1)); err == nil || isErrno(err, libos.ENETDOWN) {
		t.Errorf("read of a card that broke: %v", err)
	}
	if _, err := left.Write([]byte("x")); err != nil {
		t.Errorf("write to the other: %v", err)
	}
	if a, _, err := connPair(x.left, x.mid, "10.9.0.1"); err != nil {
		t.Errorf("connect to the other: %v", err)
	} else {
		a.Close()
	}
	x.mid.Broken(0)
	if _, err := left.Write([]byte("x")); !isErrno(err, libos.ENETDOWN) {
		t.Errorf("write without any card: %v", err)
	}
}

// TestCardMissing: an address for a card that is not there is an error, and those that
// are there get theirs.
func TestCardMissing(t *testing.T) {
	s := newStack(t)
	err := s.Start(newCables(t, 1)[0].Device[0], "ip=10.9.0.1/24 ip6=eth2:fd00::1/64", nil)
	if err == nil || !strings.Contains(err.Error(), "eth2") || !strings.Contains(err.Error(), "ip6=") {
		t.Errorf("%v", err)
	}
	if s.ip.CheckLocalAddress(0, ipv4.ProtocolNumber, tcpip.AddrFrom4([4]byte{10, 9, 0, 1})) != ethernetNIC {
		t.Error("eth0 has no address")
	}
}

// TestRouteOrder: of routes to the same network the first card's counts, whichever
// comes first.
func TestRouteOrder(t *testing.T) {
	s := newStack(t)
	gate := func(n byte) tcpip.Address { return tcpip.AddrFrom4([4]byte{10, n, 0, 1}) }
	for _, n := range []byte{4, 2, 3} {
		s.addRoute(tcpip.Route{Destination: header.IPv4EmptySubnet, Gateway: gate(n), NIC: tcpip.NICID(n)})
		s.addRoute(tcpip.Route{Destination: subnet(gate(n), 24), NIC: tcpip.NICID(n)})
	}
	var got []string
	for _, r := range s.ip.GetRouteTable() {
		if r.Destination == header.IPv4EmptySubnet {
			got = append(got, r.Gateway.String())
		}
	}
	if fmt.Sprint(got) != "[10.2.0.1 10.3.0.1 10.4.0.1]" {
		t.Error(got)
	}
}

// TestJoin: what networks tell of names counts in the order of the cards.
func TestJoin(t *testing.T) {
	all := join([]*card{
		{learned: names{dns: []string{"10.9.0.53"}, search: []string{"a.test"}}},
		{},
		{learned: names{dns: []string{"10.8.0.53", "10.9.0.53"}, search: []string{"b.test", "a.test"}, host: "second"}},
		{learned: names{host: "third"}},
	})
	if got := fmt.Sprint(all); got != "{[10.9.0.53 10.8.0.53] [a.test b.test] second}" {
		t.Error(got)
	}
}

// TestCardFigures: each card has its own.
func TestCardFigures(t *testing.T) {
	x := newCrossing(t)
	x.mid.cards[1].found.Store(&Found{Device: "eth1", Addr: netip.MustParsePrefix("10.8.0.1/24"), Forever: true})
	x.mid.Broken(1)
	var w metrics.Writer
	x.mid.writeFigures(&w)
	for _, line := range []string{
		`tailor_network_up{device="eth0"} 1`, `tailor_network_up{device="eth1"} 0`,
		`tailor_network_dropped_total{device="eth1",direction="out"} 0`,
		`tailor_address_conflicts_total{device="eth0"} 0`, `tailor_dhcp_bound{device="eth1"} 1`,
	} {
		if !strings.Contains(string(w.Bytes()), "\n"+line+"\n") {
			t.Errorf("no %s in\n%s", line, w.Bytes())
		}
	}
}

// TestCardParams: which card a parameter is of.
func TestCardParams(t *testing.T) {
	c, err := ParseParams("ip=dhcp ip=eth1:10.8.0.1/24 gw=eth1:10.8.0.2 ip6=eth7:fd00::1/64 gw6=eth7:fe80::1 mtu=1400 mtu=eth7:1300 ip=eth2:none ip=eth0:none")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for n, g := range c.Cards {
		if given := g.given(); given != "" || g.None || g.MTU != 0 {
			got += fmt.Sprint(n, " ", g.IP, " ", g.GW, " ", g.IP6, " ", g.GW6, " ", g.MTU, " ", g.None, "\n")
		}
	}
	const none = "invalid Prefix"
	if want := "0 " + none + " invalid IP " + none + " invalid IP 1400 true\n" +
		"1 10.8.0.1/24 10.8.0.2 " + none + " invalid IP 0 false\n" +
		"2 " + none + " invalid IP " + none + " invalid IP 0 true\n" +
		"7 " + none + " invalid IP fd00::1/64 fe80::1 1300 false\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if _, err := ParseParams("ip=10.9.0.1/24 gw=eth1:10.9.0.2"); err == nil {
		t.Error("a router of a card without an address was accepted")
	}
	if err := newStack(t).Start(nil, "ip=eth3:dhcp"); err == nil {
		t.Error("DHCP was accepted without a client")
	}
}
