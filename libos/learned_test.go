package libos

import "testing"

// TestLearn: what the network tells of names counts where the boot parameters say
// nothing, in files that are there already.
func TestLearn(t *testing.T) {
	t.Cleanup(func() { Learn(nil, nil, ""); beforeResolver = nil })
	for _, c := range []struct{ params, resolv, host string }{
		{"ip=dhcp", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.test b.test\n", "web-7"},
		{"dns=9.9.9.9", "nameserver 9.9.9.9\nsearch a.test b.test\n", "web-7"},
		{"search=c.test hostname=mine", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch c.test\n", "mine"},
	} {
		reset(t)
		Learn(nil, nil, "")
		boot(Params(c.params))
		asked := 0
		BeforeResolver(func() {
			if asked++; asked == 1 {
				Learn([]string{"192.0.2.1", "2001:db8::1"}, []string{"a.test", "b.test"}, "web-7")
			}
		})
		if got := readAll(t, "/etc/resolv.conf"); got != c.resolv {
			t.Errorf("%s: %q", c.params, got)
		}
		if got := readAll(t, "/etc/hostname"); got != c.host+"\n" {
			t.Errorf("%s: host name %q", c.params, got)
		}
		if got := readAll(t, "/etc/hosts"); got != "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 "+c.host+"\n" {
			t.Errorf("%s: hosts %q", c.params, got)
		}
		Learn([]string{"192.0.2.9"}, nil, "")
		if got := readAll(t, "/etc/resolv.conf"); asked != 2 || c.params == "ip=dhcp" && got != "nameserver 192.0.2.9\n" {
			t.Errorf("%s: then %q, asked %d times", c.params, got, asked)
		}
	}
}
