package params

import (
	"net"
	"strings"
	"testing"
)

func TestParseSyslog(t *testing.T) {
	for v, want := range map[string]string{
		"udp://10.0.0.1":           "udp 10.0.0.1:514",
		"tcp://logs.example:601":   "tcp logs.example:601",
		"tls://logs.example":       "tls logs.example:6514",
		"tls://[2001:db8::1]":      "tls [2001:db8::1]:6514",
		"tls://[2001:db8::1]:1":    "tls [2001:db8::1]:1",
		"udp://host:65535":         "udp host:65535",
		"tls://[fe80::1%eth0]:514": "tls [fe80::1%eth0]:514",
	} {
		scheme, address, ok := ParseSyslog(v)
		if got := scheme + " " + address; got != want || !ok {
			t.Errorf("%s: %q, %v, want %q", v, got, ok, want)
		}
	}
	for _, bad := range []string{"", "udp", "udp://", "http://host", "udp:/host/x", "udp://:514", "udp://host:", "udp://host:0", "udp://host:65536",
		"udp://host:x", "udp://host:1:2", "udp://a b", "udp://host/", "udp://u@host", "udp://[::1", "udp://[]", "udp://[::1]514", "udp://2001:db8::1", "tls://]", "tls://a[b]", "tls://[[::1]]", "tls://h\x00", "tls://é"} {
		if scheme, address, ok := ParseSyslog(bad); ok {
			t.Errorf("%q: %q %q", bad, scheme, address)
		}
	}
}

// FuzzParseSyslog: what is accepted is an address that package net takes apart.
func FuzzParseSyslog(f *testing.F) {
	f.Add("tls://[2001:db8::1]:6514")
	f.Add("udp://host")
	f.Fuzz(func(t *testing.T, v string) {
		scheme, address, ok := ParseSyslog(v)
		if !ok {
			return
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || port == "" || !strings.HasPrefix(v, scheme+"://") || !strings.Contains(v, host) {
			t.Fatalf("%q: %q %q: %q %q %v", v, scheme, address, host, port, err)
		}
	})
}

func TestFacility(t *testing.T) {
	for name, want := range map[string]int{"": 3, "kern": 0, "daemon": 3, "cron": 9, "authpriv": 10, "local0": 16, "local7": 23, "local8": -1, "Kern": -1} {
		if got := Facility(name); got != want {
			t.Errorf("%q: %d, want %d", name, got, want)
		}
	}
}
