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
	} {
		a, err := staticAddresses(parseAll(t, c.ip, parseIP), parseAll(t, c.gw, cli.ParseAddr), parseAll(t, c.dns, cli.ParseAddr))
		if got := a.params(); err == nil && got != c.want || (err != nil) != (c.want == "error") {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
}

func parseAll[T netip.Addr | ipFlag](t *testing.T, s string, parse func(string) (T, error)) (out []T) {
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
