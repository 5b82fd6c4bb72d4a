package params

import (
	"strings"
	"testing"
)

func TestLacking(t *testing.T) {
	for _, c := range []struct{ words, has, want string }{
		{"", "", ""},
		{"ip=10.0.0.1/24 hostname=x console=ttyS0", "", ""},
		{"mtu=1400 metrics=:9090", "ntp", "metrics"},
		{"metrics=:9090 ntp=a", "metrics,ntp", ""},
		{"syslog=tcp://x", "syslog+udp", "syslog+tcp"},
		{"syslog=tls://x syslog-app=y", "metrics,syslog+tls", ""},
		{"syslog-app=y", "syslog+udp", ""},
		{"syslog-app=y", "metrics", "syslog+tls"},
		{"dns=9.9.9.9", "", ""},
		{"dns-cache=10", "syslog+udp", "dns+cache"},
		{"dns-cache=10", "dns+tls", ""},
		{"dns-tls=9.9.9.9", "dns+cache", "dns+tls"},
		{"dns-pin=x dns-roots=/y", "dns+tls", ""},
	} {
		_, got := Lacking(strings.Fields(c.words), appendList(nil, c.has))
		if got != c.want {
			t.Errorf("%q of a program with %q: lacks %q, want %q", c.words, c.has, got, c.want)
		}
	}
	err := CheckServices([]string{"syslog=tcp://x"})
	if want := "boot parameter syslog=tcp://x: the program was built without syslog+tcp; rebuild it with: tailor build --log syslog+tcp"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestServicesOfParameters: who adds a parameter that a service has says what links it.
func TestServicesOfParameters(t *testing.T) {
	for _, p := range Known() {
		word := p.Name + "=tls://x"
		both := p.Name == "metrics" || strings.HasPrefix(p.Name, "syslog") || strings.HasPrefix(p.Name, "dns-")
		if service := ServiceOf(word); (service != "") != (both || p.Name == "ntp") {
			t.Errorf("%s needs %q", p.Name, service)
		}
		if OfProcess(word) != (both || p.Name == "disk") {
			t.Errorf("%s: in a plain process: %v", p.Name, OfProcess(word))
		}
	}
}
