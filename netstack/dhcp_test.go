package netstack

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

func TestParamsDHCP(t *testing.T) {
	for words, want := range map[string]string{
		"":                       "finds",
		"ip=dhcp":                "finds",
		"ip=none":                "",
		"ip=10.0.2.15/24":        "",
		"ip6=fd00::15/64":        "",
		"ip=dhcp ip6=fd00::2/64": "finds",
		"ip=dhcp ip=none":        "",
		"ip=10.0.0.1/8 ip=dhcp":  "finds",
		"ip=dhcp ip=10.0.0.1/8":  "",
		"ip=dhcp gw=10.0.0.1":    "boot parameter gw=10.0.0.1 needs ip=, the guest's own address",
		"ip=DHCP":                `boot parameter "ip=DHCP": want an address and a prefix length like 10.0.2.15/24`,
	} {
		c, err := ParseParams(words)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case c.Cards[0].finds():
			got = "finds"
		}
		if got != want {
			t.Errorf("%q: %q, want %q", words, got, want)
		}
	}
	if err := newStack(t).Start(nil, "ip=dhcp"); err == nil {
		t.Error("ip=dhcp was accepted without a client")
	}
	if err := newStack(t).Start(nil, "ip6-privacy=temporary"); err == nil {
		t.Error("ip6-privacy was accepted where no address is found")
	}
}

// TestAwait: a connection waits for the address, other uses of sockets do not.
func TestAwait(t *testing.T) {
	s := newStack(t)
	s.waiting.Store(newWaiting(2))
	c, e := s.Socket(afInet, sockStream, 0)
	if e != 0 {
		t.Fatal(e)
	}
	defer c.Close()
	c.(libos.Poller).SetNonblock(true)
	loopback := []byte{afInet, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}
	if e := c.Bind([]byte{afInet, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); e != 0 {
		t.Fatal(e)
	}
	u, _ := s.Socket(afInet, sockDgram, 0)
	defer u.Close()
	if e := u.Connect(loopback); e != 0 {
		t.Fatal(e)
	}
	begin, done := time.Now(), make(chan libos.Errno)
	go func() { done <- c.Connect([]byte{afInet, 0, 0, 9, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0}) }()
	select {
	case e := <-done:
		t.Fatalf("connect did not wait: error %d", e)
	case <-time.After(50 * time.Millisecond):
	}
	first, second := &card{s: s}, &card{s: s}
	first.arrived()
	first.arrived() // which counts once
	select {
	case e := <-done:
		t.Fatalf("connect did not wait for the second card: error %d", e)
	case <-time.After(50 * time.Millisecond):
	}
	second.arrived()
	if e := <-done; e != libos.ENETUNREACH && e != libos.EHOSTUNREACH {
		t.Errorf("connect: error %d", e)
	}
	if d := time.Since(begin); d > addressWait/2 {
		t.Errorf("after %v", d)
	}
}

// TestAdvertisedRoutes: routers have no say about this machine and its link.
func TestAdvertisedRoutes(t *testing.T) {
	a, r := newRoutersFor(&card{nic: ethernetNIC})
	for _, c := range []struct {
		to   string
		bits int
		kept int
	}{{"::", 0, 1}, {"2001:db8::", 64, 2}, {"::", 0, 2}, {"::1", 128, 2}, {"fe80::", 64, 2}, {"ff00::", 8, 2}} {
		to := tcpip.AddrFrom16(netip.MustParseAddr(c.to).As16())
		r.OnOffLinkRouteUpdated(ethernetNIC, subnet(to, c.bits), header.LinkLocalAddr("\x02\x00\x00\x00\x00\x01"), 0)
		if len(a.routes) != c.kept {
			t.Errorf("%s/%d: %v", c.to, c.bits, a.routes)
		}
	}
	r.OnOffLinkRouteInvalidated(ethernetNIC, header.IPv6EmptySubnet, header.LinkLocalAddr("\x02\x00\x00\x00\x00\x01"))
	if len(a.routes) != 1 {
		t.Errorf("%v", a.routes)
	}
}

// TestExpiring: what routers tell of names ends with its time, and does not fill
// the memory.
func TestExpiring(t *testing.T) {
	var list []expiring
	for i := range 100 {
		list = with(list, fmt.Sprint(i), time.Hour)
	}
	if len(list) != maxServers {
		t.Errorf("%d entries", len(list))
	}
	list = with(with(nil, "a", time.Hour), "b", time.Hour)
	list = with(list, "a", 0)
	list = with(list, "c", time.Nanosecond)
	time.Sleep(time.Microsecond)
	if got := fmt.Sprint(current(list)); got != "[b]" {
		t.Errorf("%s", got)
	}
	a := &slaac{dns: list, search: with(nil, "a.test", 30*time.Minute)}
	left, forgot := a.expire()
	if !forgot || len(a.dns) != 1 || left > 30*time.Minute || left < 29*time.Minute {
		t.Errorf("%v left, %v, %v", left, forgot, a.dns)
	}
	if _, forgot := a.expire(); forgot {
		t.Error("forgotten twice")
	}
}
