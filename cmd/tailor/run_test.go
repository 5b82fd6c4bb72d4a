package main

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/cli"
)

func TestParams(t *testing.T) {
	for _, c := range []struct{ ip, gw, dns, want string }{
		{"", "", "", ""},
		{"192.0.2.5/24", "192.0.2.1", "192.0.2.53", "ip=192.0.2.5/24 gw=192.0.2.1 dns=192.0.2.53"},
		{"2001:db8::5/64 192.0.2.5/24", "fe80::1 192.0.2.1", "192.0.2.53 2001:db8::53",
			"ip=192.0.2.5/24 gw=192.0.2.1 ip6=2001:db8::5/64 gw6=fe80::1 dns=192.0.2.53 dns=2001:db8::53"},
		{"192.0.2.5/24 192.0.2.6/24", "", "", "error"},
		{"2001:db8::5/64", "192.0.2.1", "", "error"},
		{"192.0.2.5/24", "198.51.100.1", "", "error"},
		{"192.0.2.5/24", "192.0.2.1 192.0.2.2", "", "error"},
		{"dhcp", "", "192.0.2.53", "ip=dhcp dns=192.0.2.53"},
		{"dhcp 2001:db8::5/64", "", "", "ip=dhcp ip6=2001:db8::5/64"},
		{"dhcp 192.0.2.5/24", "", "", "error"},
		{"dhcp", "192.0.2.1", "", "error"},
		{"host", "", "192.0.2.53", "dns=192.0.2.53"},
		{"host 192.0.2.5/24", "", "", "error"},
		{"host dhcp", "", "", "error"},
		{"host", "192.0.2.1", "", "error"},
		{"eth1:192.0.2.5/24 dhcp eth2:2001:db8::5/64", "eth1:192.0.2.1 eth2:fe80::1", "192.0.2.53",
			"ip=dhcp ip=eth1:192.0.2.5/24 gw=eth1:192.0.2.1 ip6=eth2:2001:db8::5/64 gw6=eth2:fe80::1 dns=192.0.2.53"},
		{"192.0.2.5/24 eth0:2001:db8::5/64 eth1:dhcp", "eth0:192.0.2.1", "", "ip=192.0.2.5/24 gw=192.0.2.1 ip6=2001:db8::5/64 ip=eth1:dhcp"},
		{"eth1:192.0.2.5/24 eth1:192.0.2.6/24", "", "", "error"},
		{"eth1:192.0.2.5/24 eth1:host", "", "", "error"},
		{"192.0.2.5/24", "eth1:192.0.2.1", "", "error"},
		{"eth3:dhcp", "", "", "error"}, // there are three
		{"dhcp", "eth3:192.0.2.1", "", "error"},
	} {
		list, err := staticAddresses(3, parseAll(t, c.ip, parseIP), parseAll(t, c.gw, parseGateway))
		vm := vmConfig{}
		if got := vm.params(wire{addrs: list, dns: parseAll(t, c.dns, cli.ParseAddr)}); err == nil && got != c.want || (err != nil) != (c.want == "error") {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	for _, bad := range []string{"eth8:dhcp", "eth1", "eth:192.0.2.5/24", "eth10:192.0.2.5/24", "eth1:", "eth1:eth2:dhcp", "eth1:192.0.2.5"} {
		if f, err := parseIP(bad); err == nil {
			t.Errorf("%q: %+v", bad, f)
		}
	}
}

// TestCards: which networks go together.
func TestCards(t *testing.T) {
	for words, want := range map[string]string{
		"":                             "",
		"user":                         "",
		"tap:a tap:b":                  "",
		"tap:a user tap:b":             "",
		"a b c d e f g h":              "",
		"a b c d e f g h i":            "9 network cards are too many: a guest has 8 at the most",
		"user tap:a user":              "--net user is there twice",
		"tap:a tap:b tap:a":            "--net tap:a is there twice",
		"none tap:a":                   "--net none is for a guest without any network card",
		"tap:a none":                   "--net none is for a guest without any network card",
		"tap:a tap:b ip=eth2:dhcp":     "--ip is for eth2, and there is no such network card",
		"tap:a user ip=eth1:dhcp":      "--ip and --gateway need --net tap:NAME",
		"tap:a user ip=192.0.2.5/24":   "",
		"user ip=dhcp":                 "--ip and --gateway need --net tap:NAME",
		"tap:a tap:b publish":          "-p 80:80 works with --net user only",
		"tap:a user publish":           "",
		"tap:a ip=eth0:dhcp gw=eth1:1": "--gateway is for eth1, and there is no such network card",
	} {
		var o runOptions
		for word := range strings.FieldsSeq(words) {
			switch {
			case strings.HasPrefix(word, "ip="):
				o.ip = parseAll(t, word[3:], parseIP)
			case strings.HasPrefix(word, "gw="):
				o.gateways = []gatewayFlag{{card: 1, addr: netip.MustParseAddr("192.0.2.1")}}
			case word == "publish":
				o.publish = []cli.Publish{{Host: 80, Guest: 80}}
			case len(word) == 1:
				o.nets = append(o.nets, cli.Net{Kind: "tap", Tap: word})
			default:
				n, err := cli.ParseNet(word)
				if err != nil {
					t.Fatal(err)
				}
				o.nets = append(o.nets, n)
			}
		}
		err := o.checkNet()
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", words, err, want)
		}
	}
}

func parseAll[T netip.Addr | ipFlag | gatewayFlag](t *testing.T, s string, parse func(string) (T, error)) (out []T) {
	t.Helper()
	for _, f := range strings.Fields(s) {
		v, err := parse(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func TestMergeEnv(t *testing.T) {
	got := mergeEnv([]string{"A=1", "B=2", "A=3"}, []string{"B=4", "C=5", "C=6"})
	slices.Sort(got)
	if want := []string{"A=3", "B=4", "C=6"}; !slices.Equal(got, want) {
		t.Errorf("mergeEnv = %v, want %v", got, want)
	}
}

func TestSplitProgram(t *testing.T) {
	for _, c := range []struct{ args, what, own string }{
		{"./x", "./x", ""},
		{"./x -a b.go", "./x", "-a b.go"},
		{"./x -- -a -- b", "./x", "-a -- b"},
		{"a.go b.go -c d.go", "a.go b.go", "-c d.go"},
		{"a.go -- b.go", "a.go", "b.go"},
	} {
		p, err := splitProgram(strings.Fields(c.args))
		if err != nil || strings.Join(p.what, " ") != c.what || strings.Join(p.args, " ") != c.own {
			t.Errorf("%q: %+v, %v", c.args, p, err)
		}
	}
}

// Every flag has help that fits the page, and no verb's help is wider than 80.
func TestHelpFits(t *testing.T) {
	for _, v := range verbs() {
		for i, line := range strings.Split(v.help(), "\n") {
			if len(line) > 80 {
				t.Errorf("help %s, line %d has %d bytes: %s", v.name, i+1, len(line), line)
			}
		}
		seen := map[string]bool{}
		for _, f := range v.flags {
			if f.Help == "" || seen[f.Long] || f.Short != 0 && seen[string(f.Short)] {
				t.Errorf("%s --%s: no help, or given twice", v.name, f.Long)
			}
			seen[f.Long], seen[string(f.Short)] = true, true
		}
	}
}
