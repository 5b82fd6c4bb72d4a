package e2e

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// newDHCP returns a road to a guest that finds its address on a tap.
func newDHCP(t *testing.T, on target) (r *road, img string) {
	t.Helper()
	xtest.NeedCommand(t, "dnsmasq", "dnsmasq-base")
	r = tapRoad(t, on)
	r.flags = []string{"--net", "tap:" + tapName, "--ip", "dhcp"}
	r.guestAt("192.0.2.50")
	flags := []string{"--dhcp"}
	if on.build == build.HVT { // where it is a build of its own anyway; it can have a secret so
		flags = append(flags, "--volumes")
	}
	return r, on.buildWith(t, nil, netGuestPkg, flags...)
}

// dnsmasq serves addresses on the road's tap, from first to last, until the
// returned function is called. It remembers nothing.
func (r *road) dnsmasq(t *testing.T, first, last string, options ...string) (stop func()) {
	t.Helper()
	args := append([]string{
		"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--interface=" + tapName, "--bind-interfaces",
		"--dhcp-leasefile=" + filepath.Join(t.TempDir(), "leases"), "--log-facility=-", "--log-dhcp", "--no-ping", "--no-resolv", "--no-hosts",
		"--dhcp-authoritative", "--dhcp-range=" + first + "," + last + ",255.255.255.0,2m", "--address=/www.test/192.0.2.80",
	}, options...)
	cmd := exec.Command(xtest.NeedCommand(t, "dnsmasq", "dnsmasq-base"), args...)
	log := vmtest.NewOutput()
	r.served = log
	cmd.Stdout, cmd.Stderr = log, log
	if err := r.ns.do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		cmd.Process.Signal(unix.SIGTERM)
		cmd.Wait()
		log.Close()
		if t.Failed() {
			t.Log(log.String())
		}
	}
	t.Cleanup(stop)
	return stop
}

// said waits for a line of the tool's or the guest's about the network.
func (p *proc) said(t *testing.T, text string) {
	t.Helper()
	if !p.errOut.Await(text) {
		t.Fatalf("ended without saying %q:\n%s%s", text, p.out, p.errOut)
	}
}

const leased = "tailor: network: eth0 has its address: 192.0.2.50/24 by DHCP from " + tapHost4 + " for 2m0s\n"

// TestDHCP: a guest has an address of a server's as soon as it asks for it, and
// what else the server says.
func TestDHCP(t *testing.T) { each(t, testDHCP, ownNetwork) }

func testDHCP(t *testing.T, on target) {
	r, img := newDHCP(t, on)
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--dhcp-option=option:mtu,1400", "--dhcp-option=option:domain-search,a.test,test",
		"--dhcp-option=option:classless-static-route,0.0.0.0/0,192.0.2.9,198.51.100.0/24,"+tapHost4, "--dhcp-host=*:*:*:*:*:*,web-7")
	res := r.startImage(t, img, nil, "addresses").wait()
	res.want(t, 0, nil, []string{leased})
	// An address that came late has the link-local one beside it.
	if !regexp.MustCompile(`(?m)^eth0 1400 up\|broadcast\|multicast\|running \[192\.0\.2\.50/24( fe80::[0-9a-f:]+/64)?\] `).MatchString(res.stdout) {
		t.Errorf("interfaces:\n%s", res.stdout)
	}
	t.Log("from the program's start to the address:", regexp.MustCompile(`after (.*)`).FindString(res.stdout))
	r.startImage(t, img, nil, "lookup", "www.test.", "www").wait().want(t, 0, []string{"www.test. is 192.0.2.80\n", "www is 192.0.2.80\n"}, nil)
	r.startImage(t, img, nil, "hosts").wait().want(t, 0, []string{"nameserver 192.0.2.1\nsearch a.test test\n"}, nil)
}

// TestDHCPWait: without a server the program runs, and says what is missing;
// with one that comes later it is reached.
func TestDHCPWait(t *testing.T) {
	r, img := newDHCP(t, targetHVT(t))
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.expect("ready\n")
	p.said(t, "tailor: network: eth0 has no address: no DHCP server has answered; looking further\n")
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--dhcp-option=58,3", "--dhcp-option=59,60")
	p.said(t, leased)
	r.mustDial(t, "tcp 7").Close()
}

// TestDHCPServerGone: a lease goes on with a server that comes back, and ends
// with one that does not know it.
func TestDHCPServerGone(t *testing.T) {
	r, img := newDHCP(t, targetHVT(t))
	times := []string{"--dhcp-option=58,3", "--dhcp-option=59,100"}
	stop := r.dnsmasq(t, "192.0.2.50", "192.0.2.50", times...)
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.said(t, leased)
	stop()
	c := r.mustDial(t, "tcp 7")
	stop = r.dnsmasq(t, "192.0.2.50", "192.0.2.50", times...)
	p.said(t, "tailor: network: eth0 keeps its address: 192.0.2.50/24 by DHCP from "+tapHost4+" for 2m0s\n")
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("a connection, after the lease was renewed: %v", err)
	}
	stop()
	r.dnsmasq(t, "192.0.2.60", "192.0.2.60", times...)
	p.said(t, "tailor: network: eth0 loses its address, which the server does not know any more: 192.0.2.50/24 ")
	p.said(t, "tailor: network: eth0 has its address: 192.0.2.60/24 ")
	r.guestAt("192.0.2.60")
	r.mustDial(t, "tcp 7").Close()
}

// claim answers who asks for an IPv4 address on the road's tap, as a machine
// would that has it.
func (r *road) claim(t *testing.T, addr string) {
	t.Helper()
	const arp = 0x0608 // ETH_P_ARP, in network order
	f := r.packets(t, arp)
	ip := netip.MustParseAddr(addr).As4()
	go func() {
		for b := make([]byte, 64); t.Context().Err() == nil; {
			n, err := f.Read(b)
			if err != nil || n < 42 || [4]byte(b[38:]) != ip || b[21] != 1 {
				continue
			}
			mac := []byte{2, 0, 0, 0, 0, 99}
			reply := slices.Concat(b[6:12], mac, b[12:20], []byte{0, 2}, mac, ip[:], b[22:32])
			f.Write(reply)
		}
	}()
}

// TestDHCPConflict: another machine has the address that the server gives.
func TestDHCPConflict(t *testing.T) {
	r, img := newDHCP(t, targetHVT(t))
	r.claim(t, "192.0.2.50")
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50")
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.said(t, "tailor: network: eth0 declines an address, which another machine has: 192.0.2.50/24 ")
}

// TestDHCPNotLinked: an image says how to get what it does not have.
func TestDHCPNotLinked(t *testing.T) {
	r := tapRoad(t, targetHVT(t))
	r.flags = []string{"--net", "tap:" + tapName, "--ip", "dhcp"}
	r.start(t, "interfaces").wait().want(t, 0, nil, []string{"the program was built without a DHCP client; rebuild it with: tailor build --dhcp\n"})
}

// TestSLAAC: a guest has an address of the prefix that a router advertises, its
// name servers and a way out.
func TestSLAAC(t *testing.T) { each(t, testSLAAC, ownNetwork) }

func testSLAAC(t *testing.T, on target) {
	r, img := newRouter(t, on)
	r.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--enable-ra", "--dhcp-range=2001:db8::,ra-only,64,10m", "--dhcp-option=option6:dns-server,["+tapHost6+"]",
		"--dhcp-option=option6:domain-search,six.test")
	p := r.startImage(t, img, []string{"-m", "128M"}, "serve")
	p.said(t, " from a router's advertisement\n")
	m := regexp.MustCompile(`eth0 has its address: (2001:db8::\S+) from`).FindStringSubmatch(p.errOut.String())
	if m == nil {
		t.Fatalf("no address in the network's prefix:\n%s", p.errOut)
	}
	p.said(t, leased)
	for _, addr := range []string{m[1], "192.0.2.50"} {
		r.guestAt(addr)
		r.mustDial(t, "tcp 7").Close()
	}
	p.Kill()
	names := "nameserver 192.0.2.1\nnameserver " + tapHost6 + "\nsearch six.test\n"
	r.startImage(t, img, nil, "await-names", names).wait().want(t, 0, []string{"/etc/resolv.conf\n" + names}, nil)
}
