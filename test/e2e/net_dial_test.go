package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

func needPing(t testing.TB) string { return xtest.NeedCommand(t, "ping", "iputils-ping") }

func serveEcho(c *net.TCPConn) {
	defer c.Close()
	if _, err := io.Copy(c, c); err == nil {
		c.CloseWrite()
	}
}

// closedPort returns an address of the road's host that refuses connections.
func (r *road) closedPort(t testing.TB, family int) string {
	local, host := r.local4, r.host4
	if family == 6 {
		local, host = r.local6, r.host6
	}
	var addr string
	err := r.ns.do(func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(local, "0"))
		if err != nil {
			return err
		}
		defer l.Close()
		addr = withPort(host, l.Addr())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// What the guest's clients see of servers outside, over every road, IPv4 and
// IPv6.
func TestDial(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		for family, name := range map[int]string{4: "4", 6: "6"} {
			echo := r.listen(t, family, serveEcho)
			t.Run("echo"+name, func(t *testing.T) {
				n := fmt.Sprint(r.on.times(8 << 20))
				r.run(t, []string{"echoed " + n + " from " + echo}, "dial-echo", echo, n)
			})
			t.Run("refused"+name, func(t *testing.T) {
				out := r.run(t, nil, "dial-refused", r.closedPort(t, family)).stdout
				if !strings.HasPrefix(out, "true true ") || !strings.Contains(out, "connect: connection refused") {
					t.Error(out)
				}
			})
			t.Run("udp"+name, func(t *testing.T) {
				r.run(t, []string{"echoed 0\n", "echoed 65000\n", "too long: write udp ", "message too long"},
					"udp-echo", r.listenPacket(t, family), "1", "0", "1472", "1473", "9000", "65000")
			})
			t.Run("udp refused"+name, func(t *testing.T) {
				r.run(t, []string{"true "}, "udp-refused", r.closedPort(t, family))
			})
			t.Run("deadline"+name, func(t *testing.T) {
				silent := r.listen(t, family, func(c *net.TCPConn) { t.Cleanup(func() { c.Close() }) })
				r.run(t, []string{"deadlines kept"}, "dial-deadline", silent)
			})
		}
		t.Run("http", func(t *testing.T) {
			addr := r.listen(t, 4, func(c *net.TCPConn) {
				defer c.Close()
				bufio.NewReader(c).ReadString('\n')
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
			})
			r.run(t, []string{`200 OK "hello"`}, "http-get", "http://"+addr+"/")
		})
		echo := r.listen(t, 4, serveEcho)
		t.Run("many", func(t *testing.T) {
			img := r.on.image(t, netGuestPkg)
			n := fmt.Sprint(r.on.times(1000))
			r.startImage(t, img, r.on.memory("128M"), "dial-many", echo, n).wait().want(t, 0, []string{"all " + n + " answered"}, nil)
		})
		t.Run("churn", func(t *testing.T) {
			n := fmt.Sprint(r.on.times(3000))
			r.run(t, []string{"churned " + n}, "dial-churn", echo, n)
		})
		t.Run("reset", func(t *testing.T) {
			rude := r.listen(t, 4, func(c *net.TCPConn) {
				io.CopyN(io.Discard, c, 100<<10)
				c.SetLinger(0)
				c.Close()
			})
			out := r.run(t, nil, "dial-reset", rude).stdout
			if !strings.HasPrefix(out, "true ") || !strings.Contains(out, "\ntrue ") {
				t.Error(out)
			}
		})
	})
}

// TestKeepAlive takes the wire away from a connection that has keep-alive on.
func TestKeepAlive(t *testing.T) { each(t, testKeepAlive, ownNetwork) }

func testKeepAlive(t *testing.T, on target) {
	r := tapRoad(t, on)
	accepted := make(chan bool, 1)
	addr := r.listen(t, 4, func(c *net.TCPConn) {
		accepted <- true
		t.Cleanup(func() { c.Close() })
	})
	p := r.start(t, "dial-keepalive", addr)
	p.expect("waiting")
	<-accepted
	time.Sleep(1500 * time.Millisecond) // one probe is answered
	r.ns.ip(t, "link set "+tapName+" down")
	p.wait().want(t, 0, []string{"true after "}, nil)
}

// TestLoopbackStall passes data through the guest's loopback in pieces of all
// kinds. No timer of TCP's, of 200 ms at the least, may be needed for that. The
// host may delay a guest as long, so one try of three must be good.
func TestLoopbackStall(t *testing.T) { each(t, testLoopbackStall, ownNetwork, computing) }

func testLoopbackStall(t *testing.T, on target) {
	img := on.image(t, netGuestPkg)
	for _, sizes := range [][2]string{{"1024", "1024"}, {"1024", "65536"}, {"4096", "32768"}, {"65536", "1024"}, {"65536", "65536"}, {"1048576", "100"}} {
		t.Run(sizes[0]+" "+sizes[1], func(t *testing.T) {
			worst := 0
			for range 3 {
				r := on.run(t, img, "loopback", sizes[0], sizes[1])
				if n, _ := fmt.Sscanf(r.stdout, "worst %d\n", &worst); n != 1 || r.code != 0 {
					t.Fatalf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
				}
				if worst < 150 {
					return
				}
			}
			t.Errorf("a read took %d ms", worst)
		})
	}
}

// TestUserNetworkBounds: what the guest must not reach through this process.
func TestUserNetworkBounds(t *testing.T) { each(t, testUserNetworkBounds, ownNetwork) }

func testUserNetworkBounds(t *testing.T, on target) {
	r := userRoad(t, on)
	secret := r.listen(t, 4, serveEcho) // on 127.0.0.1 of the host
	_, port, _ := net.SplitHostPort(secret)
	out := r.run(t, nil, "dial-refused", "127.0.0.1:"+port, "[::1]:"+port, "0.0.0.0:"+port, "10.0.2.9:"+port).stdout
	for line := range strings.Lines(out) {
		if strings.HasSuffix(line, "<nil>\n") {
			t.Errorf("a connection that must not be: %s", line)
		}
	}
	if n := strings.Count(out, "\n"); n != 4 {
		t.Errorf("%d attempts of 4:\n%s", n, out)
	}
}

// TestNetNone: a program with sockets but without a network has its loopback.
func TestNetNone(t *testing.T) { each(t, testNetNone, ownNetwork) }

func testNetNone(t *testing.T, on target) {
	img := on.image(t, netGuestPkg)
	r := on.run(t, "--net", "none", img, "interfaces")
	r.want(t, 0, []string{"lo 65536 up|loopback|running [127.0.0.1/8 ::1/128]"}, nil)
	if strings.Contains(r.stdout, "eth0") {
		t.Errorf("an interface without a network:\n%s", r.stdout)
	}
	r = on.run(t, "--net", "none", img, "dial-refused", "192.0.2.1:80")
	r.want(t, 0, []string{"network is unreachable"}, nil)
}
