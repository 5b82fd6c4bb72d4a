package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/dnstest"
	"github.com/tailor-os/tailor/internal/rsyslogtest"
	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/names/dot"
)

// An unboundServer is unbound, serving the zone "test.".
type unboundServer struct {
	t    *testing.T
	ns   *namespace
	conf string
	pin  string // of its key
	log  *strings.Builder
	cmd  *exec.Cmd
}

// newUnbound starts unbound at an address, HOST@PORT, with TLS at port 853.
func newUnbound(t *testing.T, ns *namespace, certs *rsyslogtest.Certs, at string) *unboundServer {
	t.Helper()
	u := &unboundServer{t: t, ns: ns, conf: filepath.Join(t.TempDir(), "conf"), log: &strings.Builder{}}
	text := fmt.Sprintf(`server:
  interface: %s
  tls-service-key: %q
  tls-service-pem: %q
  chroot: ""
  username: ""
  pidfile: ""
  directory: %q
  use-syslog: no
  log-queries: yes
  do-daemonize: no
  module-config: "iterator"
  access-control: 0.0.0.0/0 allow
  local-zone: "test." static
  local-data: "test. 60 IN SOA ns.test. ns.test. 1 3600 600 86400 30"
  local-data: "www.test. 60 IN A 192.0.2.80"
  local-data: "brief.test. 0 IN A 192.0.2.81"
`, at, certs.Key, certs.Cert, filepath.Dir(u.conf))
	for i := range longText / 200 {
		text += fmt.Sprintf("  local-data: 'long.test. 60 IN TXT %q'\n", fmt.Sprintf("%0200d", i))
	}
	text += "remote-control:\n  control-enable: no\n"
	if err := os.WriteFile(u.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(certs.Cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	u.pin = dot.PinOf(cert).String()
	t.Cleanup(func() {
		u.stop()
		if t.Failed() {
			t.Log(u.log)
		}
	})
	u.start(strings.Replace(at, "@", ":", 1))
	return u
}

// start starts it and waits until it listens.
func (u *unboundServer) start(at string) {
	u.t.Helper()
	u.cmd = exec.Command(xtest.NeedCommand(u.t, "unbound", "unbound"), "-d", "-p", "-c", u.conf)
	u.cmd.Stderr = u.log
	if err := u.ns.do(u.cmd.Start); err != nil {
		u.t.Fatal(err)
	}
	for end := time.Now().Add(limit); ; time.Sleep(5 * time.Millisecond) {
		err := u.ns.do(func() error {
			c, err := net.Dial("tcp", at)
			if err == nil {
				c.Close()
			}
			return err
		})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			u.t.Fatal(err)
		}
	}
}

func (u *unboundServer) stop() {
	if u.cmd != nil {
		u.cmd.Process.Signal(unix.SIGTERM)
		u.cmd.Wait()
		u.cmd = nil
	}
}

// asked stops it and returns how often it was asked for a name and type, "www.test. A".
func (u *unboundServer) asked(what string) int {
	u.stop()
	return strings.Count(u.log.String(), " "+what+" IN")
}

// resolving is a road to a guest with what asks over TLS, and its image.
func resolving(t *testing.T, on target) (r *road, img string) {
	t.Helper()
	flags := []string{"--resolver", "dns+tls"}
	if !on.has(ownNetwork) {
		return unixRoad(t, on), on.buildWith(t, nil, netGuestPkg, flags...)
	}
	return tapRoad(t, on), on.buildWith(t, nil, netGuestPkg, append(flags, "--volumes", "--metrics")...)
}

// TestResolver: names are asked for over TLS, of the server that was meant and in no
// other way; and once in their time.
func TestResolver(t *testing.T) { each(t, testResolver, computing) }

func testResolver(t *testing.T, on target) {
	xtest.NeedCommand(t, "unbound", "unbound")
	r, img := resolving(t, on)
	certs := rsyslogtest.NewCerts(t)
	u := newUnbound(t, r.ns, certs, r.host4+"@853")
	at := "--dns-tls=" + r.host4
	pin := []string{at, "--param", "dns-pin=" + u.pin}
	r.startImage(t, img, pin, "lookup", "www.test.", "WWW.test.", "nope.test.", "www.test.", "nope.test.").wait().want(t, 0,
		[]string{"www.test. is 192.0.2.80\n", "WWW.test. is 192.0.2.80\n", "nope.test. not found: true "}, nil)
	named := []string{at + "#logs.test", "--secret", "dns-roots.pem=" + certs.Roots}
	if !on.has(ownNetwork) {
		named = []string{at + "#logs.test", "--param", "dns-roots=" + certs.Roots}
	}
	r.startImage(t, img, named, "lookup-txt", "long.test.").wait().want(t, 0, []string{fmt.Sprintf("txt %d\n", longText)}, nil)
	for what, flags := range map[string][]string{
		"none of those given by dns-pin": {at, "--param", "dns-pin=4/mggdVx8A3pvHAWW5sD+qJyMtUHgiRuPjVC48N0XrM="},
		"unknown authority":              {at + "#logs.test"},
		"not other.test":                 append([]string{at + "#other.test"}, named[1:]...),
	} {
		res := r.startImage(t, img, flags, "lookup", "www.test.", "www.test.").wait()
		res.want(t, 0, []string{"www.test. not found: false lookup www.test. on ", what}, []string{"tailor: dns: cannot ask: dns over tls: " + r.host4, what})
		if n := strings.Count(res.stderr, "tailor: dns: "); n != 1 || strings.Contains(res.stdout, "192.0.2.80") {
			t.Errorf("said %d times:\n%s%s", n, res.stdout, res.stderr)
		}
	}
	r.startImage(t, img, pin, "early", "brief.test.").wait().want(t, 0, []string{"what asks over TLS is not initialized yet", "own: [192.0.2.81] <nil>\n"}, nil)
	for what, want := range map[string]int{"brief.test. A": 1, "www.test. A": 1, "WWW.test. A": 0, "nope.test. A": 1, "nope.test. AAAA": 1, "long.test. TXT": 1} {
		if n := u.asked(what); n != want {
			t.Errorf("asked %d times for %s, want %d", n, what, want)
		}
	}
}

// TestResolverBack: a server over TLS that goes away and comes back is asked again, by a
// program that goes on meanwhile. One target is enough for what no driver knows of.
func TestResolverBack(t *testing.T) {
	xtest.NeedCommand(t, "unbound", "unbound")
	r, img := resolving(t, targetHVT(t))
	u := newUnbound(t, r.ns, rsyslogtest.NewCerts(t), tapHost4+"@853")
	flags := []string{"--dns-tls=" + tapHost4, "--param", "dns-pin=" + u.pin}
	t.Log("over TLS:\n" + r.startImage(t, img, flags, "lookup-time", "www.test.", "brief.test.").wait().stdout)
	p := r.startImage(t, img, flags, "lookup-on", "brief.test.", "3")
	p.expect("1: brief.test. is there\n")
	u.stop()
	p.expect("2: brief.test. is gone: ")
	u.start(tapHost4 + ":853")
	p.wait().want(t, 0, []string{"3: brief.test. is there\n"}, []string{"tailor: dns: asking " + tapHost4 + " over TLS again\n"})
}

// TestResolverPlain: without TLS, the cache asks the servers of resolv.conf, over TCP
// what does not fit a datagram.
func TestResolverPlain(t *testing.T) {
	xtest.NeedCommand(t, "unbound", "unbound")
	r, img := resolving(t, targetHVT(t))
	u := newUnbound(t, r.ns, rsyslogtest.NewCerts(t), tapHost4+"@53")
	r.flags = append(r.flags, "--dns", tapHost4)
	r.startImage(t, img, nil, "early", "brief.test.").wait().want(t, 0, []string{"early: <nil>\nown: [192.0.2.81] <nil>\n"}, nil)
	r.startImage(t, img, []string{"--param", "search=test"}, "lookup", "www", "www.test.").wait().want(t, 0, []string{"www is 192.0.2.80\n", "www.test. is 192.0.2.80\n"}, nil)
	r.startImage(t, img, nil, "lookup-txt", "long.test.").wait().want(t, 0, []string{fmt.Sprintf("txt %d\n", longText)}, nil)
	r.run(t, []string{fmt.Sprintf("txt %d\n", longText)}, "lookup-txt", "long.test.") // Go's resolver alone
	const both = "www.test."                                                          // looked up twice, and in the next line once
	t.Log("kept, and asked for:\n" + r.startImage(t, img, nil, "lookup-time", both, "brief.test.").wait().stdout)
	t.Log("Go's resolver alone, asking another time:\n" + r.start(t, "lookup-time", "brief.test.").wait().stdout)
	for what, want := range map[string]int{both + " A": 2, "long.test. TXT": 4} {
		if n := u.asked(what); n != want {
			t.Errorf("asked %d times for %s, want %d", n, what, want)
		}
	}
}

// TestResolverFigures: what the stub does can be seen.
func TestResolverFigures(t *testing.T) {
	xtest.NeedCommand(t, "unbound", "unbound")
	r, img := resolving(t, targetHVT(t))
	u := newUnbound(t, r.ns, rsyslogtest.NewCerts(t), tapHost4+"@853")
	p := r.startImage(t, img, []string{"--metrics", ":9090", "--dns-tls=" + tapHost4, "--param", "dns-pin=" + u.pin, "--param", "dns-cache=10"}, "lookup-on", "www.test.", "2")
	p.expect("1: www.test. is there\n")
	r.guest["metrics"] = tapGuest4 + ":9090"
	m := r.metricsClient(t)
	f := scrape(t, m)
	for end := time.Now().Add(limit / 4); f.value(t, "tailor_dns_questions_total", "result", "hit") < 2 && time.Now().Before(end); f = scrape(t, m) {
		time.Sleep(20 * time.Millisecond)
	}
	f.conventional(t, nil)
	f.between(t, 2, 1e6, "tailor_dns_questions_total", "result", "hit")
	f.between(t, 2, 2, "tailor_dns_questions_total", "result", "miss")
	f.between(t, 0, 0, "tailor_dns_questions_total", "result", "failed")
	f.between(t, 2, 2, "tailor_dns_cache_entries")
	f.between(t, 300, 2000, "tailor_dns_cache_bytes")
	f.between(t, 7680, 7680, "tailor_dns_cache_size_bytes")
	f.between(t, 1, 1, "tailor_dns_tls_connected")
	f.between(t, 1, 1, "tailor_dns_tls_connections_total", "result", "ok")
}

// TestResolverHostile: what is no answer to the question is passed over, what breaks the
// rules is an error; that is Go's own resolver.
func TestResolverHostile(t *testing.T) { each(t, testResolverHostile, ownNetwork, computing) }

func testResolverHostile(t *testing.T, on target) {
	r := tapRoad(t, on)
	r.flags = append(r.flags, "--dns", tapHost4)
	serveHostile(t, r.ns, tapHost4)
	begin := time.Now()
	r.run(t, []string{"spoofed.test. is 192.0.2.80\n", "loop.test. not found: false lookup loop.test. on " + tapHost4 + ":53: cannot unmarshal DNS message\n"},
		"lookup", "spoofed.test.", "loop.test.")
	if took := time.Since(begin); took > limit/2 {
		t.Errorf("it took %v", took)
	}
}

// serveHostile answers at port 53 of an address what must not be believed, and then,
// but for names that loop, what may.
func serveHostile(t *testing.T, ns *namespace, addr string) {
	t.Helper()
	var u, stranger net.PacketConn
	err := ns.do(func() (err error) {
		if u, err = net.ListenPacket("udp", net.JoinHostPort(addr, "53")); err == nil {
			stranger, err = net.ListenPacket("udp", net.JoinHostPort(addr, "0"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); stranger.Close() })
	good := dnstest.Address([4]byte{192, 0, 2, 80}, 60)
	evil := dnstest.Address([4]byte{192, 0, 2, 66}, 60)
	go func() {
		for b := make([]byte, 4096); ; {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			lie := dnstest.Reply(b[:n], evil)
			stranger.WriteTo(lie, from)
			lie[0]++ // another id
			u.WriteTo(lie, from)
			lie[0]--
			lie[13] ^= 1 // another name
			u.WriteTo(lie, from)
			u.WriteTo(lie[:7], from)
			u.WriteTo(make([]byte, 9000), from)
			a := dnstest.Reply(b[:n], good)
			const loops = 12 + len("\x04loop\x04test\x00") + 4
			if strings.Contains(string(a), "\x04loop") {
				a = dnstest.Reply(b[:n], func(q dnsmessage.Question, m *dnsmessage.Message) { dnstest.Add(m, 60, &dnsmessage.AResource{}) })
				copy(a[loops:], []byte{0xc0, byte(loops)})
			}
			u.WriteTo(a, from)
		}
	}()
}

// TestResolverOrder: what counts of what is told of names. What is in the image is the
// same on each target.
func TestResolverOrder(t *testing.T) {
	on := targetHVT(t)
	dir := t.TempDir()
	write(t, dir, map[string]string{"hosts": "192.0.2.99 db db.test\n", "resolv": "nameserver 192.0.2.98\nsearch image.test\n"})
	img := on.buildWith(t, nil, netGuestPkg, "--file", dir+"/hosts:/etc/hosts", "--file", dir+"/resolv:/etc/resolv.conf")
	r := tapRoad(t, on)
	r.flags = append(r.flags, "--dns", "192.0.2.53")
	r.startImage(t, img, nil, "cat", "/etc/resolv.conf").wait().want(t, 0, []string{"nameserver 192.0.2.98\nsearch image.test\n"}, nil)
	r.startImage(t, img, nil, "lookup", "db", "db.test").wait().want(t, 0, []string{"db is 192.0.2.99\n", "db.test is 192.0.2.99\n"}, nil)
	d, found := newDHCP(t, on)
	d.dnsmasq(t, "192.0.2.50", "192.0.2.50", "--dhcp-option=option:domain-search,dhcp.test")
	d.startImage(t, found, []string{"--dns", "192.0.2.53"}, "hosts").wait().want(t, 0, []string{"nameserver 192.0.2.53\nsearch dhcp.test\n"}, nil)
	d.startImage(t, found, []string{"--param", "search=boot.test"}, "hosts").wait().want(t, 0, []string{"nameserver 192.0.2.1\nsearch boot.test\n"}, nil)
}

// TestResolverNotLinked: an image says how to get what it does not have.
func TestResolverNotLinked(t *testing.T) {
	on := targetHVT(t)
	on.run(t, "--net", "none", "--dns-tls", "192.0.2.1", on.image(t, netGuestPkg), "hosts").want(t, 125, nil, []string{"dns+tls", "tailor build --resolver dns+tls"})
	_, img := resolving(t, on)
	on.run(t, "--net", "none", "--param", "dns-roots=/x", img, "hosts").want(t, 125, nil, []string{"dns-roots is given without dns-tls"})
	on.run(t, "--net", "none", "--param", "dns-pin=x", "--dns-tls", "192.0.2.1", img, "hosts").want(t, 125, nil, []string{"dns-pin=x: want the SHA-256 of a public key"})
}
