package dhcpwire

import (
	"fmt"
	"strings"
	"testing"
)

// TestNames: what is written to a file is a name, or nothing.
func TestNames(t *testing.T) {
	long := strings.Repeat("a", 63)
	for in, want := range map[string]string{
		"a": "a", "a.b.": "a.b", "a\x00\x00": "a", "_dns.x-1": "_dns.x-1", "": "", ".": "", ".a": "", "a..b": "", "-a": "",
		"a\nnameserver 1": "", "a b": "", "a#": "", "\xc3\xa4": "", long: long, long + "a": "",
		long + "." + long + "." + long + "." + long: "", "a.-b": "",
	} {
		if got := Name([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"\x01a\x00": "[a]", "\x01a": "[]", "\xc0\x00": "[]", "\x01a\xc0\x00": "[]", "\x01a\x00\xc0\x00": "[a a]",
		"\x01a\x00\xc0\x03": "[a]", "\x01a\x00\x01b\xc0\x00\xc0\x03": "[a b.a b.a]", "\x40a": "[]", "\x03a\nb\x00": "[]",
		strings.Repeat("\x01a\x00", 20): "[a a a a a a a a]", "\x00": "[]", "\xc0": "[]",
	} {
		if got := fmt.Sprint(Names([]byte(in))); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// FuzzNames: what comes of any bytes are names, and not too many.
func FuzzNames(f *testing.F) {
	f.Add([]byte("\x01a\x07example\x03com\x00\x01b\xc0\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := Names(b)
		if len(list) > MaxNames {
			t.Errorf("%d names", len(list))
		}
		for _, n := range list {
			if n == "" || len(n) > maxName || Name([]byte(n)) != n {
				t.Errorf("name %q", n)
			}
		}
	})
}

// TestUDP: a sum that is wrong, lengths that lie, and IPv4 without a sum.
func TestUDP(t *testing.T) {
	addrs4, addrs6 := make([]byte, 8), make([]byte, 32)
	addrs4[7], addrs6[31] = 1, 2
	for _, addrs := range [][]byte{addrs4, addrs6} {
		d := append(make([]byte, UDPLen), "abc"...)
		PutUDP(d, addrs, 546, 547)
		if got, ok := UDP(d, addrs, false); !ok || string(got) != "abc" {
			t.Errorf("%d: %q %v", len(addrs), got, ok)
		}
		if _, ok := UDP(append(d, 0), addrs, false); !ok {
			t.Error("padding was refused")
		}
		for _, n := range []byte{0, 7, 12, 255} {
			bad := append([]byte(nil), d...)
			bad[5] = n
			if _, ok := UDP(bad, addrs, true); ok {
				t.Errorf("a length of %d was accepted", n)
			}
		}
		bad := append([]byte(nil), d...)
		bad[8]++
		if _, ok := UDP(bad, addrs, false); ok {
			t.Error("a wrong sum was accepted")
		}
		if _, ok := UDP(bad, addrs, true); !ok {
			t.Error("a sum was looked at")
		}
		bad[6], bad[7] = 0, 0
		if _, ok := UDP(bad, addrs, false); ok != (len(addrs) == 8) {
			t.Errorf("%d: without a sum: %v", len(addrs), ok)
		}
	}
}
