package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// The second tap of a guest with two cards (RFC 5737), and an address of the test's
// that is in neither network: the guest has default routes to it.
const (
	tapName2               = "tap1"
	tap2Host4, tap2Guest4  = "198.51.100.1", "198.51.100.2"
	tap2Leased             = "198.51.100.50"
	beyond                 = "203.0.113.9"
	leased2                = "tailor: network: eth1 has its address: " + tap2Leased + "/24 by DHCP from " + tap2Host4 + " for 2m0s\n"
	tap2Range, tap2Nothing = "--dhcp-range=" + tap2Leased + "," + tap2Leased + ",255.255.255.0,2m", "--no-dhcp-interface=" + tapName2
)

// newCards returns a road to a guest with a second card, and the image of one that
// finds addresses.
func newCards(t *testing.T, on target, flags ...string) (r *road, img string) {
	t.Helper()
	r, img = newDHCP(t, on)
	r.ns.ip(t, "tuntap add dev "+tapName2+" mode tap")
	r.ns.ip(t, "addr add "+tap2Host4+"/24 dev "+tapName2)
	r.ns.ip(t, "link set "+tapName2+" up")
	r.ns.ip(t, "addr add "+beyond+"/32 dev lo")
	r.flags = append([]string{"--net", "tap:" + tapName, "--net", "tap:" + tapName2}, flags...)
	return r, img
}

// echoes says something to the guest at one of its addresses, from one of the test's
// ("" for any).
func (r *road) echoes(t *testing.T, from, to string) error {
	t.Helper()
	d := net.Dialer{Timeout: dialTimeout}
	if from != "" {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	}
	var c net.Conn
	err := r.ns.do(func() (err error) {
		c, err = d.DialContext(t.Context(), "tcp", net.JoinHostPort(to, "7"))
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(dialTimeout))
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 5))
	return err
}

func (r *road) mustEcho(t *testing.T, from, to string) {
	t.Helper()
	if err := r.echoes(t, from, to); err != nil {
		t.Errorf("%s to %s: %v", from, to, err)
	}
}

// TestCards: a guest with two cards is in two networks at once: addresses of both, the
// way out by the first, answers by the card that was asked; and one goes on without the
// other.
func TestCards(t *testing.T) { each(t, testCards, ownNetwork) }

func testCards(t *testing.T, on target) {
	r, img := newCards(t, on)
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--interface="+tapName2, tap2Range)
	p := r.startImage(t, img, r.on.memory("128M"), "serve")
	p.said(t, leased)
	p.said(t, leased2)
	r.mustEcho(t, "", "192.0.2.50")
	r.mustEcho(t, "", tap2Leased)
	r.mustEcho(t, beyond, tap2Leased)

	r.ns.ip(t, "link set "+tapName+" down")
	r.mustEcho(t, "", tap2Leased)
	r.mustEcho(t, beyond, tap2Leased) // the answer has not taken the default route, which is dead
	r.ns.ip(t, "link set "+tapName+" up")
	r.ns.ip(t, "link set "+tapName2+" down")
	r.mustEcho(t, "", "192.0.2.50")
	r.ns.ip(t, "link set "+tapName2+" up")
	r.mustEcho(t, "", tap2Leased)
	p.Kill()

	// Where connections of the guest's come from says which way they take.
	peers := make(chan string, 1)
	serve := func(c *net.TCPConn) {
		host, _, _ := net.SplitHostPort(c.RemoteAddr().String())
		peers <- host
		io.Copy(c, c)
		c.Close()
	}
	for to, from := range map[string]string{tapHost4: "192.0.2.50", tap2Host4: tap2Leased, beyond: "192.0.2.50"} {
		r.local4, r.host4 = to, to
		r.startImage(t, img, nil, "dial-echo", r.listen(t, 4, serve), "100000").wait().want(t, 0, []string{"echoed 100000"}, nil)
		if got := <-peers; got != from {
			t.Errorf("to %s: from %s, want %s", to, got, from)
		}
	}
	names := "nameserver " + tapHost4 + "\nnameserver " + tap2Host4 + "\n" // eth0's first
	r.startImage(t, img, nil, "await-names", names).wait().want(t, 0, []string{"/etc/resolv.conf\n" + names}, nil)
}

// TestCardsMixed: a static card beside one that finds its address, and the user network
// beside a tap.
func TestCardsMixed(t *testing.T) { each(t, testCardsMixed, ownNetwork) }

func testCardsMixed(t *testing.T, on target) {
	r, img := newCards(t, on, "--ip", "eth1:"+tap2Guest4+"/24", "--gateway", "eth1:"+tap2Host4)
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", tap2Nothing)
	p := r.startImage(t, img, r.on.memory("128M"), "serve")
	p.said(t, leased)
	r.mustEcho(t, "", "192.0.2.50")
	r.mustEcho(t, "", tap2Guest4)
	r.mustEcho(t, beyond, tap2Guest4)
	p.Kill()
	res := r.startImage(t, img, []string{"--param", "mtu=eth1:1300"}, "addresses").wait()
	res.want(t, 0, nil, nil)
	if !regexp.MustCompile(`(?m)^eth0 1500 \S+ \[192\.0\.2\.50/24.*\n(.*\n)*eth1 1300 \S+ \[198\.51\.100\.2/24\] `).MatchString(res.stdout) {
		t.Errorf("interfaces:\n%s", res.stdout)
	}

	host := vmtest.FreePort(t, "tcp")
	r.flags = []string{"--net", "user", "-p", host + ":7", "--net", "tap:" + tapName2, "--ip", "eth1:" + tap2Guest4 + "/24"}
	p = r.startImage(t, img, r.on.memory("128M"), "serve")
	p.expect("ready\n")
	r.mustEcho(t, "", tap2Guest4)
	r.guest["tcp 7"] = host
	c := r.mustDial(t, "tcp 7")
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("by the published port: %v", err)
	}
}

// TestCardsSLAAC: what a router advertises on a link is for the card on that link.
func TestCardsSLAAC(t *testing.T) {
	r, img := newCards(t, targetHVT(t))
	r.ns.ip(t, "addr add 2001:db8:2::1/64 dev "+tapName2+" nodad")
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--interface="+tapName2, tap2Range, "--enable-ra",
		"--dhcp-range=2001:db8::,ra-only,64,10m", "--dhcp-range=2001:db8:2::,ra-only,64,10m")
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	for card, prefix := range map[string]string{"eth0": "2001:db8::", "eth1": "2001:db8:2:"} {
		p.said(t, "tailor: network: "+card+" has its address: "+prefix)
	}
	for _, card := range []string{"eth0", "eth1"} {
		m := regexp.MustCompile(card + ` has its address: (2001:\S+) from a router's advertisement`).FindStringSubmatch(p.errOut.String())
		if m == nil {
			t.Fatalf("%s has no address of a router's:\n%s", card, p.errOut)
		}
		r.mustEcho(t, "", m[1])
	}
}

// TestCardsMany: as many cards as there can be, in their order.
func TestCardsMany(t *testing.T) { each(t, testCardsMany, ownNetwork) }

func testCardsMany(t *testing.T, on target) {
	r := tapRoad(t, on)
	r.flags = nil
	var want []string
	for n := range 8 {
		if n > 0 {
			r.ns.ip(t, fmt.Sprintf("tuntap add dev tap%d mode tap", n))
			r.ns.ip(t, fmt.Sprintf("link set tap%d up", n))
			r.ns.ip(t, fmt.Sprintf("addr add 10.1.%d.1/24 dev tap%[1]d", n))
		}
		addr := fmt.Sprintf("10.1.%d.2/24", n)
		r.flags = append(r.flags, "--net", fmt.Sprintf("tap:tap%d", n), "--ip", fmt.Sprintf("eth%d:%s", n, addr))
		want = append(want, fmt.Sprintf("\neth%d 1500 up|broadcast|multicast|running [%s] ", n, addr))
	}
	res := r.start(t, "interfaces").wait()
	res.want(t, 0, want, nil)
	p := r.startImage(t, r.on.image(t, netGuestPkg), r.on.memory("128M"), "serve")
	p.expect("ready\n")
	for n := 1; n < 8; n++ {
		r.mustEcho(t, "", fmt.Sprintf("10.1.%d.2", n))
	}
	if strings.Count(res.stdout, "eth") != 8 {
		t.Errorf("other cards:\n%s", res.stdout)
	}
}
