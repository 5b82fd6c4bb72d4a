package programs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// TestDNS: an authoritative server on miekg/dns, asked by dig.
func TestDNS(t *testing.T) { each(t, testDNS, "spt", "qemu-q35") }

func testDNS(t *testing.T, on target) {
	path := xtest.NeedCommand(t, "dig", "bind9-dnsutils")
	g := on.boot(t, local(t, "dnsd"), []string{"53/udp", "53/tcp"})
	dig := func(network string, args ...string) (string, error) {
		line := append([]string{"@127.0.0.1", "-p", g.port("53/" + network), "+time=2", "+tries=2"}, args...)
		r := vmtest.Setting{}.Exec(t, path, line...).Wait()
		if r.Code != 0 {
			return "", fmt.Errorf("dig %q: exit code %d\n%s%s", line, r.Code, r.Stdout, r.Stderr)
		}
		return r.Stdout, nil
	}
	g.answers(func() error { _, err := dig("udp", "+short", "ns.tailor.test"); return err })

	var large strings.Builder
	for i := range 40 {
		fmt.Fprintf(&large, "\"%02d %s\"\n", i+1, strings.Repeat("x", 60))
	}
	const soa = "ns.tailor.test. hostmaster.tailor.test. 2026112501 3600 600 86400 60\n"
	for _, c := range []struct {
		network, args, want string
	}{
		{"udp", "+short www.tailor.test A", "web.tailor.test.\n192.0.2.80\n192.0.2.81\n"},
		{"tcp", "+short +tcp www.tailor.test A", "web.tailor.test.\n192.0.2.80\n192.0.2.81\n"},
		{"udp", "+short mail.tailor.test AAAA", "2001:db8::25\n"},
		{"udp", "+short tailor.test MX", "10 mail.tailor.test.\n"},
		{"udp", "+short tailor.test SOA", soa},
		{"udp", "+short _sip._udp.tailor.test SRV", "1 2 5060 mail.tailor.test.\n"},
		{"udp", "+short text.tailor.test TXT", "\"one\" \"two words\"\n"},
		{"tcp", "+short +tcp large.tailor.test TXT", large.String()},
	} {
		got, err := dig(c.network, strings.Fields(c.args)...)
		if err != nil {
			t.Error(err)
		}
		want(t, c.args, got, c.want)
	}
	for _, c := range []struct {
		network, args string
		want          []string
	}{
		{"udp", "www.tailor.test A", []string{"status: NOERROR", " qr aa rd;", "EDNS: version: 0"}},
		{"udp", "nothing.tailor.test A", []string{"status: NXDOMAIN", "SOA\t" + strings.TrimSpace(soa)}},
		{"udp", "web.tailor.test AAAA", []string{"status: NOERROR", "ANSWER: 0", "SOA\t"}},
		{"udp", "+ignore large.tailor.test TXT", []string{" qr aa tc rd;"}},
		{"udp", "example.org A", []string{"status: REFUSED"}},
		{"tcp", "tailor.test AXFR", []string{"XFR size: 52 records"}},
	} {
		got, err := dig(c.network, strings.Fields(c.args)...)
		if err != nil {
			t.Error(err)
		}
		for _, s := range c.want {
			if !strings.Contains(got, s) {
				t.Errorf("dig %s: no %q in\n%s", c.args, s, got)
			}
		}
	}
}
