package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
	"github.com/tailor-os/tailor/netstack/dhcp6"
)

// keaConfig is a server of the address ADDR, for shorter times than dnsmasq has. It
// remembers nothing but who it is.
const keaConfig = `{"Dhcp6": {
	"interfaces-config": {"interfaces": ["` + tapName + `"]},
	"lease-database": {"type": "memfile", "persist": false},
	"server-id": {"type": "LL", "htype": 1, "identifier": "020000000042", "persist": false},
	"renew-timer": 20, "rebind-timer": 40, "preferred-lifetime": 50, "valid-lifetime": 70,
	"option-data": [{"name": "dns-servers", "data": "2001:db8::53"}, {"name": "domain-search", "data": "a.test, b.test"},
		{"name": "sntp-servers", "data": "2001:db8::123"}],
	"subnet6": [{"id": 1, "subnet": "2001:db8::/64", "interface": "` + tapName + `", "pools": [{"pool": "ADDR-ADDR"}]}],
	"loggers": [{"name": "kea-dhcp6", "severity": "INFO", "output_options": [{"output": "stdout"}]}]
}}`

// kea serves an address on the tap until the returned function is called.
func (n *namespace) kea(t *testing.T, addr string) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "kea.json")
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(keaConfig, "ADDR", addr)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), xtest.NeedCommand(t, "kea-dhcp6", "kea-dhcp6-server"), "-c", conf)
	cmd.Env = append(os.Environ(), "KEA_LOCKFILE_DIR=none", "KEA_PIDFILE_DIR="+dir)
	log := vmtest.NewOutput()
	cmd.Stdout, cmd.Stderr = log, log
	if err := n.do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		log.Close()
		close(ended)
	}()
	stop = func() {
		cmd.Process.Kill()
		<-ended
	}
	t.Cleanup(stop)
	if !log.Await("DHCP6_STARTED") {
		t.Fatalf("Kea did not start:\n%s", log)
	}
	return stop
}

// TestDHCPv6Kea is what TestDHCPv6Lifetime is, with another server: one that forgot the
// lease, that has another address, that is gone, and that is back.
func TestDHCPv6Kea(t *testing.T) {
	ns := newTap(t)
	ns.noDAD(t)
	w := newWire(t, ns)
	ns.awaitLocal(t)
	stop := ns.kea(t, "2001:db8::50")
	const one, other = " [2001:db8::50] 1m10s", " [2001:db8::60] 1m10s"
	w.c.Start(0, dhcp6.Addresses)
	w.until("bound" + one)
	w.until("renewed" + one)
	stop()
	stop = ns.kea(t, "2001:db8::50")
	w.until("renewed" + one)
	stop()
	stop = ns.kea(t, "2001:db8::60")
	w.until("renewed" + other)
	stop()
	w.until("deprecated" + other)
	w.until("expired" + other)
	ns.kea(t, "2001:db8::60")
	w.until("bound" + other)
}

// awaitLocal waits until the host has a link-local address on the tap, which is when
// somebody is at its other end.
func (n *namespace) awaitLocal(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(limit); !strings.Contains(n.ip(t, "-6 addr show dev "+tapName+" scope link"), "fe80::"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no link-local address on the tap")
		}
	}
}
