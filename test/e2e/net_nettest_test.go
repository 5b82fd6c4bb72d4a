package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

const nettestPkg = "./testdata/nettestguest"

// TestNettest runs golang.org/x/net/nettest as a plain process and in virtual
// machines: on the guest's own loopback and address, and on connections that
// leave the guest and come back.
func TestNettest(t *testing.T) { each(t, testNettest, computing) }

func testNettest(t *testing.T, on target) {
	img := on.image(t, nettestPkg)
	if !on.has(ownNetwork) {
		checkNettest(t, setting{limit: 3 * limit}.start(t, on.line(img, "-test.v")...).wait(),
			"Pipe", "TCP4", "TCP6", "Unix", "UDP4", "UDP6", "Support")
		return
	}
	t.Run("user", func(t *testing.T) {
		back := vmtest.FreePort(t, "tcp")
		_, port, _ := net.SplitHostPort(back)
		relay := userRelay(t, back)
		r := setting{limit: 3 * limit}.start(t, on.line("-p", "127.0.0.1:"+port+":9000", img, "-relay", relay, "-test.v")...).wait()
		checkNettest(t, r, "Pipe", "TCP4", "TCP6", "TCPOwnAddress/10.0.2.15", "TCPOwnAddress/"+userRoad(t, on).guest6,
			"TCPOwnAddress", "Relay", "UDP4", "UDP6", "Support")
	})
	t.Run("tap", func(t *testing.T) {
		r := tapRoad(t, on)
		relay := r.listen(t, 4, func(c *net.TCPConn) { r.ns.do(func() error { joinTo(c, tapGuest4+":9000"); return nil }) })
		p := r.startImage(t, img, nil, "-relay", relay, "-test.v", "-test.run", "Relay|TCPOwn")
		checkNettest(t, p.wait(), "Relay", "TCPOwnAddress/"+tapGuest4, "TCPOwnAddress/"+tapGuest6)
	})
}

// checkNettest wants each of the tests to have passed, and with it all 11 of
// nettest.TestConn where it is one of a connection.
func checkNettest(t *testing.T, r result, names ...string) {
	t.Helper()
	r.want(t, 0, []string{"PASS\n"}, nil)
	for _, name := range names {
		if !strings.Contains(r.stdout, "--- PASS: "+name+" (") {
			t.Errorf("%s did not pass:\n%s", name, clip(r.stdout))
		}
		if strings.HasPrefix(name, "TCP4") || name == "Relay" {
			if n := strings.Count(r.stdout, "--- PASS: "+name+"/"); n != 11 {
				t.Errorf("%d subtests of %s passed, want 11:\n%s", n, name, clip(r.stdout))
			}
		}
	}
}

// userRelay connects what the guest sends to it to the port that is published
// at back, and returns its address as the guest knows it.
func userRelay(t *testing.T, back string) string {
	r := &road{local4: "127.0.0.1", host4: "10.0.2.2"}
	return r.listen(t, 4, func(c *net.TCPConn) { joinTo(c, back) })
}

// joinTo copies between c and a new connection, with ends and resets as they
// were.
func joinTo(c *net.TCPConn, addr string) {
	defer c.Close()
	d, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		c.SetLinger(0)
		return
	}
	defer d.Close()
	var wg sync.WaitGroup
	pass := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			to.SetLinger(0)
			to.Close()
			from.Close()
			return
		}
		to.CloseWrite()
	}
	wg.Go(func() { pass(d.(*net.TCPConn), c) })
	wg.Go(func() { pass(c, d.(*net.TCPConn)) })
	wg.Wait()
}
