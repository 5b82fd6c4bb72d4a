package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/xtest"
)

// limitNTP is how wrong a clock may be, by a busy machine's measure.
const limitNTP = 300 * time.Millisecond

// tapHost3 is a second address of the test's on the tap.
const tapHost3 = "192.0.2.3"

// ntpFlags are those of build.
var ntpFlags = []string{"--ntp", "--metrics", "--dhcp"}

// newNTP returns a road to a guest with a client of NTP, and its image.
func newNTP(t *testing.T, on target) (r *road, img string) {
	t.Helper()
	xtest.NeedCommand(t, "chronyd", "chrony")
	xtest.NeedCommand(t, "faketime", "faketime")
	r = tapRoad(t, on)
	r.ns.ip(t, "addr add "+tapHost3+"/24 dev "+tapName)
	return r, on.buildWith(t, nil, profGuestPkg, ntpFlags...)
}

// chrony serves time at an address of the road's tap, off by seconds.
func (r *road) chrony(t *testing.T, addr string, off int) {
	t.Helper()
	dir := t.TempDir()
	conf, pid := filepath.Join(dir, "conf"), filepath.Join(dir, "pid")
	text := fmt.Sprintf("local stratum 3\nallow all\ncmdport 0\nbindcmdaddress /\nbindaddress %s\npidfile %s\n", addr, pid)
	if err := os.WriteFile(conf, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	line := []string{"chronyd", "-x", "-d", "-u", "root", "-f", conf}
	if off != 0 {
		line = append([]string{"faketime", "-f", fmt.Sprintf("%+ds", off)}, line...)
	}
	cmd := exec.Command(line[0], line[1:]...)
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // faketime has children
	if err := r.ns.do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
}

// now returns by how much the guest's clock is ahead, and for how long it says that it
// has run.
func now(t *testing.T, c *http.Client) (ahead, ran time.Duration) {
	t.Helper()
	best := time.Hour
	for range 5 { // the quickest answer says the most
		begin := time.Now()
		text, err := get(c, "/now")
		took := time.Since(begin)
		var wall, mono int64
		if _, e := fmt.Sscan(text, &wall, &mono); err != nil || e != nil {
			t.Fatal(err, e)
		}
		if took < best {
			best, ahead, ran = took, time.Unix(0, wall).Sub(begin.Add(took/2)), time.Duration(mono)
		}
	}
	return ahead, ran
}

// TestNTP: a guest whose clock is its own has the time of the servers that DHCP names.
func TestNTP(t *testing.T) {
	on := targets()[2] // hypervisors without a clock of the host's
	on.works(t)
	r, img := newNTP(t, on)
	xtest.NeedCommand(t, "dnsmasq", "dnsmasq-base")
	r.flags = []string{"--net", "tap:" + tapName, "--ip", "dhcp"}
	r.dnsmasq(t, tapGuest4, tapGuest4, "--dhcp-option=option:ntp-server,"+tapHost4)
	r.chrony(t, tapHost4, 0)
	p := r.startImage(t, img, []string{"--metrics", ":9090"})
	p.said(t, "tailor: clock: it ")
	r.guest["metrics"] = tapGuest4 + ":9090"
	c := r.client(t, false)
	ahead, _ := now(t, c)
	t.Logf("set: %q; ahead by %v after it", strings.TrimSpace(p.errOut.String()), ahead)
	if ahead < -limitNTP || ahead > limitNTP {
		t.Errorf("the clock is ahead by %v", ahead)
	}
	m := r.metricsClient(t)
	f := scrape(t, m) // until it has asked again
	for end := time.Now().Add(limit / 4); f.value(t, "tailor_ntp_answers_total", "result", "ok") < 2 && time.Now().Before(end); f = scrape(t, m) {
		time.Sleep(200 * time.Millisecond)
	}
	f.conventional(t, nil)
	f.between(t, 1, 1, "tailor_ntp_synchronized")
	f.between(t, -0.3, 0.3, "tailor_ntp_offset_seconds")
	f.between(t, 3, 3, "tailor_ntp_stratum")
	f.between(t, 0, 0.5, "tailor_ntp_distance_seconds")
	f.between(t, 1, 10, "tailor_ntp_answers_total", "server", tapHost4+":123", "result", "ok")
	f.between(t, 1, 1, "tailor_dhcp_bound", "device", "eth0")
	f.between(t, 1, 1, "tailor_dhcp_events_total", "device", "eth0", "event", "bound")
	f.between(t, 1, 1, "tailor_dhcp_lease_info", "device", "eth0", "address", tapGuest4+"/24", "server", tapHost4)
	f.between(t, 60, 120, "tailor_dhcp_lease_remaining_seconds", "device", "eth0")
}

// TestNTPWrong: a server with a wrong clock is believed if there is no other, which is
// said, and monotonic time goes on as it did; beside a right one, neither is.
func TestNTPWrong(t *testing.T) {
	on := targets()[2]
	on.works(t)
	r, img := newNTP(t, on)
	r.chrony(t, tapHost4, -3600)
	r.chrony(t, tapHost3, 0)
	begin := time.Now()
	p := r.startImage(t, img, []string{"--ntp", tapHost4, "--metrics", ":9090"})
	p.said(t, "tailor: clock: it was set back by ")
	c := r.client(t, false)
	ahead, ran := now(t, c)
	if ahead < -3601*time.Second || ahead > -3599*time.Second {
		t.Errorf("the clock is ahead by %v", ahead)
	}
	if most := time.Since(begin); ran < 0 || ran > most {
		t.Errorf("it has run for %v of %v", ran, most)
	}
	r.guest["metrics"] = tapGuest4 + ":9090"
	scrape(t, r.metricsClient(t)).between(t, 1, 1, "tailor_ntp_steps_total", "direction", "back")
	p.Kill()
	p = r.startImage(t, img, []string{"--ntp", tapHost4, "--ntp", tapHost3})
	p.said(t, "tailor: clock: the time servers disagree; none of them is believed\n")
	if ahead, _ := now(t, c); ahead < -2*time.Second || ahead > 2*time.Second {
		t.Errorf("the clock is ahead by %v", ahead)
	}
}

// TestNTPHost: the host's clock is not the guest's to set; that the machine stood still
// is noticed.
func TestNTPHost(t *testing.T) {
	r, img := newNTP(t, targetHVT(t))
	r.chrony(t, tapHost4, 3600)
	p := r.startImage(t, img, []string{"--ntp", tapHost4, "-m", "128M"})
	p.said(t, "tailor: clock: the host keeps it; it is ")
	if ahead, _ := now(t, r.client(t, false)); ahead < -limitNTP || ahead > limitNTP {
		t.Errorf("the clock is ahead by %v", ahead)
	}
	p.signal(unix.SIGSTOP)
	time.Sleep(5500 * time.Millisecond) // it looks after 2 s, and from 3 s on it says so
	p.signal(unix.SIGCONT)
	p.said(t, "tailor: clock: nothing has run for ")
}

// TestNTPNotLinked: who asks for it where it is not learns how to get it.
func TestNTPNotLinked(t *testing.T) {
	on := targetHVT(t)
	run(t, "run", "--ntp", "192.0.2.1", on.image(t, netGuestPkg)).want(t, 125, nil, []string{"hint: rebuild it with: tailor build --ntp github.com/"})
	run(t, "run", "-t", "unix", "--ntp", "192.0.2.1", netGuestPkg).want(t, 125, nil, []string{"is the host's, and the host's to set\n"})
}
