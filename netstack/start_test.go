package netstack

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

func TestParseParams(t *testing.T) {
	c, err := ParseParams("quiet ip=10.0.2.15/24 gw=10.0.2.2 dns=10.0.2.3,2001:db8::1 dns=1.1.1.1 ip6=fd00::15/64 gw6=fe80::1 mtu=9000 hostname=web-1.example x=y")
	if err != nil {
		t.Fatal(err)
	}
	if e := c.Cards[0]; e.IP.String() != "10.0.2.15/24" || e.GW.String() != "10.0.2.2" || e.IP6.String() != "fd00::15/64" ||
		e.GW6.String() != "fe80::1" || e.MTU != 9000 || c.Hostname != "web-1.example" {
		t.Errorf("%+v", c)
	}
	if got := c.ResolvConf(); got != "nameserver 10.0.2.3\nnameserver 2001:db8::1\nnameserver 1.1.1.1\n" {
		t.Errorf("resolv.conf %q", got)
	}
}

func TestParseParamsRefuses(t *testing.T) {
	for _, p := range []string{
		"ip=10.0.2.15", "ip=10.0.2.15/33", "ip=fd00::1/64", "ip=", "ip=127.0.0.1/8", "ip=0.0.0.0/0", "ip=224.0.0.1/4",
		"ip6=10.0.2.15/24", "ip6=::1/128", "ip6=::ffff:1.2.3.4/120", "gw=10.0.2.2", "gw6=fd00::1", "ip=10.0.2.15/24 gw=10.0.3.1",
		"ip=10.0.2.15/24 gw=fd00::1", "ip6=fd00::15/64 gw6=fd01::1", "dns=", "dns=1.2.3.4,", "dns=0.0.0.0", "dns=fe80::1%eth0",
		"ip=eth8:10.0.2.15/24", "ip=eth1:", "ip=eth1", "ip=eth:10.0.2.15/24", "ip=eth01:10.0.2.15/24", "mtu=eth1:9", "dns=eth1:10.0.2.3",
		"mtu=0", "mtu=1279", "mtu=65536", "mtu=x", "hostname=", "hostname=-a", "hostname=a..b", "hostname=a_b", "hostname=" + strings.Repeat("a", 65),
	} {
		_, err := ParseParams(p)
		if err == nil {
			t.Errorf("%q: accepted", p)
		} else if word := strings.Fields(p)[len(strings.Fields(p))-1]; !strings.Contains(err.Error(), word) {
			t.Errorf("%q: error does not name the word: %v", p, err)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("ip=10.0.2.15/24 gw=10.0.2.2 dns=10.0.2.3,1.1.1.1 mtu=1500 hostname=a")
	f.Add("ip=eth1:10.0.2.15/24 gw=eth1:10.0.2.2 mtu=eth7:1400 ip6=eth3:fd00::1/64 ip=eth8:dhcp")
	f.Fuzz(func(t *testing.T, p string) {
		all, err := ParseParams(p)
		if err != nil && len(all.Cards) > 0 && strings.HasPrefix(err.Error(), "boot parameter \"") {
			t.Errorf("value and error: %+v, %v", all, err)
		}
		for _, c := range all.Cards {
			if err == nil && c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535) {
				t.Errorf("mtu %d", c.MTU)
			}
		}
	})
}

func TestTCPLimit(t *testing.T) {
	for _, tc := range []struct {
		memory uint64
		want   int
	}{{0, 2 << 20}, {8 << 20, 256 << 10}, {32 << 20, 256 << 10}, {128 << 20, 1 << 20}, {4 << 30, 2 << 20}} {
		if got := tcpLimit(tc.memory); got != tc.want {
			t.Errorf("%d MiB: %d, want %d", tc.memory>>20, got, tc.want)
		}
	}
}

func TestStartErrors(t *testing.T) {
	s := newStack(t)
	if err := s.Start(nil, "ip=nonsense"); err == nil {
		t.Error("malformed parameter accepted")
	}
	c, err := netdevtest.New(netdevtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Start(c.Device[0], params1); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(c.Device[1], params2); err == nil {
		t.Error("second device accepted")
	}
}

// TestIdle makes sure that a stack at rest has no goroutine or timer that wakes
// it: nothing runs between two looks at the number of context switches.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s")
	}
	s1, s2, cable := newPair(t, netdevtest.Options{})
	c1, c2, err := connPair(s2, s1, host1)
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	defer c2.Close()
	if err := transfer(c1, c2, 1<<20); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	packets := func() uint64 { return cable.Stats[0].Packets.Load() + cable.Stats[1].Packets.Load() }
	wakes := func() uint64 { return cable.Stats[0].Wakes.Load() + cable.Stats[1].Wakes.Load() }
	time.Sleep(12 * time.Second) // the first multicast reports are spread over 10 s
	p, w := packets(), wakes()
	time.Sleep(3 * time.Second)
	if p2, w2 := packets(), wakes(); p2 != p || w2 != w {
		t.Errorf("%d packets and %d wake-ups in 3 idle seconds", p2-p, w2-w)
	}
}

// TestBroken breaks the network card under a connection.
func TestBroken(t *testing.T) {
	s1, s2, _ := newPair(t, netdevtest.Options{})
	c1, c2, err := connPair(s2, s1, host1)
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	defer c2.Close()
	l1, l2, err := connPair(s2, s2, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	defer l2.Close()
	read := make(chan error)
	go func() {
		_, err := c1.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(10 * time.Millisecond)
	s2.Broken(0)
	s2.Broken(0)
	if err := <-read; !isErrno(err, libos.ENETDOWN) {
		t.Errorf("read: %v, want ENETDOWN", err)
	}
	if _, err := c1.Write([]byte("x")); !isErrno(err, libos.ENETDOWN) {
		t.Errorf("write: %v, want ENETDOWN", err)
	}
	if _, err := s2.dial(host1 + ":80"); err != sysErr(libos.ENETDOWN) {
		t.Errorf("dial: %v, want ENETDOWN", err)
	}
	if err := transfer(l1, l2, 1<<16); err != nil {
		t.Errorf("loopback: %v", err)
	}
}

// TestTimeWaitBounded closes more connections than may linger.
func TestTimeWaitBounded(t *testing.T) {
	s := newStack(t)
	l, err := s.listen("127.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for range 3 * maxOrphans {
		c, err := s.dial("127.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		c.Read(make([]byte, 1))
		c.Close()
	}
	time.Sleep(100 * time.Millisecond)
	if n := len(s.ip.RegisteredEndpoints()); n > maxOrphans+10 {
		t.Errorf("%d endpoints are left of %d connections", n, 3*maxOrphans)
	}
}
