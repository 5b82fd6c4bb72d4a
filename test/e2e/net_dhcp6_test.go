package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/netstack/dhcp6"
)

// newRouter is newDHCP with a router that is there at once: the host's link-local
// address is not examined for a second first.
func newRouter(t *testing.T, on target) (r *road, img string) {
	t.Helper()
	r, img = newDHCP(t, on)
	r.ns.noDAD(t)
	return r, img
}

// noDAD makes addresses on the tap ones that can be used.
func (n *namespace) noDAD(t *testing.T) {
	t.Helper()
	n.ip(t, "link set "+tapName+" down")
	err := n.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+tapName+"/accept_dad", []byte("0"), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	n.ip(t, "link set "+tapName+" up")
	n.ip(t, "addr replace "+tapHost6+"/64 dev "+tapName+" nodad")
}

// stateful is a network whose addresses are DHCP's alone.
var stateful = []string{"--enable-ra", "--dhcp-range=2001:db8::50,2001:db8::50,64,2m", "--dhcp-option=option6:dns-server,[" + tapHost6 + "]",
	"--dhcp-option=option6:domain-search,six.test"}

const leased6 = "tailor: network: eth0 has its address: 2001:db8::50 by DHCPv6 from fe80::"

// TestDHCPv6: a guest has an address of DHCP's where routers say that there are.
func TestDHCPv6(t *testing.T) { each(t, testDHCPv6, ownNetwork) }

func testDHCPv6(t *testing.T, on target) {
	r, img := newRouter(t, on)
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", stateful...)
	p := r.startImage(t, img, []string{"-m", "128M", "--param", "hostname=web-6"}, "serve")
	p.said(t, leased6)
	p.said(t, leased)
	for _, addr := range []string{"2001:db8::50", "192.0.2.50"} {
		r.guestAt(addr)
		r.mustDial(t, "tcp 7").Close()
	}
	if !r.served.Await("DHCPREPLY("+tapName+") 2001:db8::50") || !strings.Contains(r.served.String(), "web-6") {
		t.Error("the server does not know the guest's name")
	}
	p.Kill()
	names := "nameserver 192.0.2.1\nnameserver " + tapHost6 + "\nsearch six.test\n"
	r.startImage(t, img, nil, "await-names", names).wait().want(t, 0, []string{"/etc/resolv.conf\n" + names}, nil)
}

// TestDHCPv6Stateless: a guest with addresses of the router's advertisement asks DHCP
// for the rest, where routers say that there is some.
func TestDHCPv6Stateless(t *testing.T) {
	r, img := newRouter(t, targetHVT(t))
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--enable-ra", "--dhcp-range=2001:db8::,ra-stateless,64,10m", "--dhcp-option=option6:ntp-server,["+tapHost6+"]")
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.said(t, " from a router's advertisement\n")
	if !r.served.Await("DHCPINFORMATION-REQUEST(" + tapName + ")") {
		t.Errorf("the guest did not ask:\n%s", r.served)
	}
	if strings.Contains(p.errOut.String(), "by DHCPv6") {
		t.Errorf("the guest has an address of DHCPv6:\n%s", p.errOut)
	}
}

// TestDHCPv6Conflict: another machine has the address that the server gives.
func TestDHCPv6Conflict(t *testing.T) {
	r, img := newRouter(t, targetHVT(t))
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", stateful...)
	r.ns.ip(t, "addr add 2001:db8::50/128 dev "+tapName+" nodad") // where the server does not look
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.said(t, "tailor: network: eth0 declines an address, which another machine has: 2001:db8::50 by DHCPv6 ")
	if !r.served.Await("DHCPDECLINE(" + tapName + ")") {
		t.Errorf("the server was not told:\n%s", r.served)
	}
}

// TestTapDefault: without --ip, a program that run builds finds its addresses on a
// tap, and an image that cannot has one next to the host's.
func TestTapDefault(t *testing.T) {
	on := targetHVT(t)
	r, img := newRouter(t, on)
	r.flags = []string{"--net", "tap:" + tapName}
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", stateful...)
	const says = "tailor: network tap0: the guest finds its addresses, by DHCP and from routers (--ip host: next to the host's)\n"
	p := setting{ns: r.ns, limit: 4 * limit}.start(t, on.line(append(r.flags, websitePkg)...)...)
	p.said(t, says)
	p.said(t, leased)
	p.said(t, leased6)
	wantWebsite(t, r.ns, "192.0.2.50:80")
	wantWebsite(t, r.ns, "[2001:db8::50]:80")
	p.Kill()
	p.wait()
	r.startImage(t, img, nil, "addresses").wait().want(t, 0, nil, []string{says, leased})
	res := r.start(t, "interfaces").wait()
	res.want(t, 0, []string{"192.0.2."}, []string{"tailor: network tap0: ip=192.0.2."})
	if strings.Contains(res.stderr, "DHCP") {
		t.Errorf("an image without DHCP:\n%s", res.stderr)
	}
}

// TestStaticConflict: a guest says that Linux has its static addresses, too, and goes
// on with them.
func TestStaticConflict(t *testing.T) {
	r, img := newRouter(t, targetHVT(t))
	r.flags = []string{"--net", "tap:" + tapName, "--ip", tapGuest4 + "/24", "--ip", tapGuest6 + "/64"}
	r.ns.ip(t, "addr add "+tapGuest4+"/32 dev "+tapName)
	r.ns.ip(t, "addr add "+tapGuest6+"/128 dev "+tapName+" nodad")
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	for _, addr := range []string{tapGuest4, tapGuest6} {
		p.said(t, "tailor: network: eth0 keeps its address, which another machine has, too: "+addr+"\n")
	}
	p.expect("ready\n")
	p.Kill()
	r.ns.ip(t, "addr del "+tapGuest4+"/32 dev "+tapName)
	r.ns.ip(t, "addr del "+tapGuest6+"/128 dev "+tapName)
	p = r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.expect("ready\n")
	r.guestAt(tapGuest4)
	c := r.mustDial(t, "tcp 7")
	time.Sleep(150 * time.Millisecond) // the search has ended
	c.Close()
	if said := p.errOut.String(); strings.Contains(said, "another machine") {
		t.Errorf("alone on the network:\n%s", said)
	}
}

// advertised is the address that a guest has of an advertisement, as it says.
var advertised = regexp.MustCompile(`eth0 has its address: (\S+) from a router`)

// TestStableAddress: who has the secret has the same address each time, and nobody
// sees the MAC in it.
func TestStableAddress(t *testing.T) {
	r, img := newRouter(t, targetHVT(t))
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--enable-ra", "--dhcp-range=2001:db8::,ra-only,64,10m")
	file := filepath.Join(t.TempDir(), "secret")
	address := func(secret string, flags ...string) (addr, said string) {
		if secret != "" {
			if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
			flags = append(flags, "--secret", "ip6-secret="+file)
		}
		p := r.startImage(t, img, append([]string{"-m", "128M"}, flags...), "serve")
		p.said(t, "has its address: 2001:db8::")
		m := advertised.FindStringSubmatch(p.errOut.String())
		if m == nil {
			t.Fatalf("no address:\n%s", p.errOut)
		}
		r.guestAt(m[1])
		r.mustDial(t, "tcp 7").Close()
		if slices.Contains(flags, "--param") {
			p.said(t, "has a temporary address: 2001:db8::")
		}
		p.Kill()
		p.wait()
		return m[1], p.errOut.String()
	}
	mac, _ := address("")
	one, _ := address("a secret of one machine")
	other, _ := address("a secret of another one")
	again, _ := address("a secret of one machine", "--param", "ip6-privacy=temporary")
	if !strings.Contains(mac, "ff:fe") || strings.Contains(one, "ff:fe") || one != again || one == other {
		t.Errorf("of the MAC %s, of a secret %s and %s, of another %s", mac, one, again, other)
	}
	if _, said := address("short"); !strings.Contains(said, "/run/secrets/ip6-secret is not to be read, or shorter than 16 bytes") {
		t.Errorf("of a secret of 5 bytes:\n%s", said)
	}
}

// A wire is a client of DHCPv6 at the other end of a tap, with a clock of its own.
type wire struct {
	t      *testing.T
	f      *os.File
	c      *dhcp6.Client
	now    time.Duration
	events []string
}

var (
	wireMAC   = [6]byte{2, 0, 0, 0, 0, 0x63}
	wireLocal = netip.MustParseAddr("fe80::63")
)

func newWire(t *testing.T, ns *namespace) *wire {
	t.Helper()
	w := &wire{t: t}
	err := ns.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		q, _ := unix.NewIfreq(tapName)
		q.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, q)
		w.f = os.NewFile(uintptr(fd), "tap") // which can be waited for by now
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.f.Close() })
	ns.ip(t, fmt.Sprintf("neigh add %s lladdr 02:00:00:00:00:63 dev %s nud permanent", wireLocal, tapName))
	random := uint32(1)
	w.c = dhcp6.New(dhcp6.Config{
		MAC: wireMAC, Local: wireLocal.As16(), Hostname: "wire",
		Random: func() uint32 { random = random*1664525 + 1013904223; return random },
		Send: func(b []byte) {
			if _, err := w.f.Write(b); err != nil {
				t.Error(err)
			}
		},
		Notify: func(e dhcp6.Event, l *dhcp6.Lease) {
			s := e.String()
			if l != nil {
				s += fmt.Sprint(" ", l.Addrs, " ", l.Duration)
			}
			w.events = append(w.events, s)
		},
	})
	return w
}

// until lets the client's time pass, and gives servers a while of the world's for each
// of its messages, until there is an event.
func (w *wire) until(want string) {
	w.t.Helper()
	for deadline := time.Now().Add(limit); len(w.events) == 0; {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s did not come", want)
		}
		w.now = max(w.now, w.c.Next())
		w.c.Tick(w.now)
		w.f.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		for b := make([]byte, 2048); len(w.events) == 0; {
			n, err := w.f.Read(b)
			if err != nil {
				break
			}
			w.c.Frame(w.now, b[:n], false)
		}
	}
	if w.events[0] != want {
		w.t.Fatalf("at %v %q, want %q", w.now, w.events, want)
	}
	w.events = w.events[1:]
}

// TestDHCPv6Lifetime is two minutes of a lease of dnsmasq's, in less: renewed, bound
// again to a server that forgot it, lost with a server that is gone.
func TestDHCPv6Lifetime(t *testing.T) {
	xtest.NeedCommand(t, "dnsmasq", "dnsmasq-base")
	r := &road{ns: newTap(t)}
	r.ns.noDAD(t)
	w := newWire(t, r.ns)
	stop := r.dnsmasq(t, "192.0.2.50", "192.0.2.50", stateful...)
	r.served.Await("router advertisement on")
	const lease = " [2001:db8::50] 2m0s"
	w.c.Start(0, dhcp6.Addresses)
	w.until("bound" + lease)
	w.until("renewed" + lease)
	if w.now < 30*time.Second || w.now > 100*time.Second || !r.served.Await("DHCPRENEW("+tapName+")") {
		t.Errorf("renewed after %v:\n%s", w.now, r.served)
	}
	stop()
	stop = r.dnsmasq(t, "192.0.2.50", "192.0.2.50", stateful...)
	r.served.Await("router advertisement on")
	w.until("renewed" + lease)
	stop()
	at := w.now
	if w.until("expired" + lease); w.now-at < time.Minute {
		t.Errorf("expired %v after it was renewed", w.now-at)
	}
}
