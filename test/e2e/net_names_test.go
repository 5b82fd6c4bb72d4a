package e2e

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func TestInterfaces(t *testing.T) { each(t, testInterfaces, ownNetwork) }

func testInterfaces(t *testing.T, on target) {
	t.Run("user", func(t *testing.T) {
		r := userRoad(t, on)
		r.run(t, []string{"lo 65536 up|loopback|running [127.0.0.1/8 ::1/128] \n",
			"eth0 1500 up|broadcast|multicast|running [", "10.0.2.15/24", r.guest6 + "/64", "fe80::", "02:00:0a:00:02:0f\n"}, "interfaces")
	})
	t.Run("tap", func(t *testing.T) {
		r := tapRoad(t, on)
		r.ns.ip(t, "link set "+tapName+" mtu 9000")
		r.run(t, []string{"eth0 9000 up|broadcast|multicast|running [", tapGuest4 + "/24", tapGuest6 + "/64", "fe80::"}, "interfaces")
	})
	t.Run("tap with the host's addresses", func(t *testing.T) {
		r := tapRoad(t, on)
		r.flags = []string{"--net", "tap:" + tapName, "--ip", "host"}
		res := r.run(t, []string{"192.0.2.", "2001:db8::"}, "interfaces")
		for _, taken := range []string{tapHost4 + "/24", tapHost6 + "/64"} {
			if strings.Contains(res.stdout, taken) {
				t.Errorf("the guest has the host's address:\n%s", res.stdout)
			}
		}
	})
}

// TestOwn: the guest's own addresses answer, and its groups are known.
func TestOwn(t *testing.T) { each(t, testOwn, ownNetwork) }

func testOwn(t *testing.T, on target) {
	r := userRoad(t, on)
	r.run(t, []string{
		"lo listens to [224.0.0.1 ff02::1", "127.0.0.1 answers\n::1 answers\n",
		"eth0 listens to [224.0.0.1 ff02::1", "10.0.2.15 answers\n", r.guest6 + " answers\n",
	}, "own")
}

// TestHosts: names that need no server.
func TestHosts(t *testing.T) { each(t, testHosts, ownNetwork) }

func testHosts(t *testing.T, on target) {
	r := userRoad(t, on)
	r.flags = append(r.flags, "--dns", "192.0.2.53", "--dns", "2001:db8::53")
	r.run(t, []string{"== /etc/hosts\n127.0.0.1 localhost\n", "nameserver 192.0.2.53\nnameserver 2001:db8::53\n", "tailor is "}, "hosts")
	r.run(t, []string{"localhost is 127.0.0.1 ::1\n", "192.0.2.7 is 192.0.2.7\n", "2001:db8::7 is 2001:db8::7\n"},
		"lookup", "localhost", "192.0.2.7", "2001:db8::7")
}

// TestDNS resolves names with a server of the test's own: as the host's
// resolver behind the user network, and directly over a tap.
func TestDNS(t *testing.T) { each(t, testDNS, ownNetwork) }

func testDNS(t *testing.T, on target) {
	lookups := func(t *testing.T, r *road, server string) {
		r.run(t, []string{"www.test. is 192.0.2.80 2001:db8::80\n", "four.test. is 192.0.2.4\n"}, "lookup", "www.test.", "four.test.")
		r.run(t, []string{"nope.test. not found: true lookup nope.test. on " + server + ":53: no such host\n"}, "lookup", "nope.test.")
		r.run(t, []string{"server.test. not found: false lookup server.test. on ", ": server misbehaving\n"}, "lookup", "server.test.")
		r.run(t, []string{fmt.Sprintf("txt %d\n", longText)}, "lookup-txt", "long.test.") // too long for a datagram
	}
	t.Run("user", func(t *testing.T) {
		r := userRoad(t, on)
		r.flags = nil
		r.ns = newNamespace(t)
		serveNames(t, r.ns, "127.0.0.1")
		r.resolv = filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(r.resolv, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		lookups(t, r, "10.0.2.3")
	})
	t.Run("tap", func(t *testing.T) {
		r := tapRoad(t, on)
		r.flags = append(r.flags, "--dns", tapHost4)
		serveNames(t, r.ns, tapHost4)
		lookups(t, r, tapHost4)
	})
	t.Run("tap6", func(t *testing.T) {
		r := tapRoad(t, on)
		r.flags = append(r.flags, "--dns", tapHost6)
		serveNames(t, r.ns, tapHost6)
		lookups(t, r, "["+tapHost6+"]")
	})
	t.Run("no answer", func(t *testing.T) {
		img := on.image(t, netGuestPkg)
		on.run(t, "--net", "none", img, "lookup", "www.test.").want(t, 0, []string{"www.test. not found: "}, nil)
	})
}

// longText is the length in bytes of long.test's text.
const longText = 3000

// serveNames is a small DNS server on port 53 of an address in a namespace.
func serveNames(t *testing.T, ns *namespace, addr string) {
	t.Helper()
	var u net.PacketConn
	var l net.Listener
	err := ns.do(func() (err error) {
		if u, err = net.ListenPacket("udp", net.JoinHostPort(addr, "53")); err != nil {
			return err
		}
		l, err = net.Listen("tcp", net.JoinHostPort(addr, "53"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close(); l.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			u.WriteTo(answer(buf[:n], 1200), from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go answerStream(c)
		}
	}()
}

// answerStream is DNS over TCP, RFC 1035 section 4.2.2.
func answerStream(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	var head [2]byte
	for {
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(head[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		b := answer(query, 65535)
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
}

// answer knows a few names of .test. An answer of more than limit bytes is
// truncated, and says so.
func answer(query []byte, limit int) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	add := func(body dnsmessage.ResourceBody) {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: 60}, Body: body})
	}
	switch name := q.Name.String(); {
	case q.Type == dnsmessage.TypeA && name == "www.test.":
		add(&dnsmessage.AResource{A: [4]byte{192, 0, 2, 80}})
	case q.Type == dnsmessage.TypeAAAA && name == "www.test.":
		add(&dnsmessage.AAAAResource{AAAA: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 0x80}})
	case q.Type == dnsmessage.TypeA && name == "four.test.":
		add(&dnsmessage.AResource{A: [4]byte{192, 0, 2, 4}})
	case q.Type == dnsmessage.TypeTXT && name == "long.test.":
		add(&dnsmessage.TXTResource{TXT: strings.SplitAfter(strings.Repeat(strings.Repeat("x", 199)+"y", longText/200), "y")[:longText/200]})
	case name == "server.test.":
		m.RCode = dnsmessage.RCodeServerFailure
	case name != "four.test.":
		m.RCode = dnsmessage.RCodeNameError
	}
	b, err := m.Pack()
	if err == nil && len(b) > limit {
		m.Truncated, m.Answers = true, nil
		b, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return b
}
