package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

const netGuestPkg = "./testdata/netguest"

// A road is one way between the test and a guest's network. The tests go each
// of them; that of a plain process shows that the test itself is right.
type road struct {
	name   string
	on     target
	ns     *namespace
	flags  []string       // of run
	served *vmtest.Output // what the latest dnsmasq on it says
	resolv string         // a file to have in the place of /etc/resolv.conf, "" for none

	guest6         string            // the guest's address on a user network
	host4, host6   string            // the test's addresses, as the guest knows them
	local4, local6 string            // where the test listens for that
	guest          map[string]string // "tcp 80" to the address that the test dials
}

// guestPorts are the ports of the program's command serve.
var guestPorts = []string{"tcp 7", "tcp 9", "tcp 19", "tcp 80", "udp 7"}

// roads runs f for each way there is here, on each target.
func roads(t *testing.T, f func(t *testing.T, r *road), needs ...need) {
	each(t, func(t *testing.T, on target) {
		if !on.has(ownNetwork) {
			f(t, unixRoad(t, on))
			return
		}
		t.Run("user", func(t *testing.T) { f(t, userRoad(t, on)) })
		t.Run("tap", func(t *testing.T) { f(t, tapRoad(t, on)) })
	}, needs...)
}

// unixRoad is a plain process, on a loopback of its own.
func unixRoad(t *testing.T, on target) *road {
	r := &road{name: "unix", on: on, ns: newNamespace(t),
		host4: "127.0.0.1", host6: "::1", local4: "127.0.0.1", local6: "::1"}
	r.guestAt("127.0.0.1")
	return r
}

// userRoad is the user network, with published ports.
func userRoad(t *testing.T, on target) *road {
	r := &road{name: "user", on: on, host4: "10.0.2.2", host6: "fd74:6169:6c6f:72::2", guest6: "fd74:6169:6c6f:72::15",
		local4: "127.0.0.1", local6: "::1", guest: map[string]string{}}
	for _, p := range guestPorts {
		network, port := p[:3], p[4:]
		addr := vmtest.FreePort(t, network)
		r.guest[p] = addr
		_, hostPort, _ := net.SplitHostPort(addr)
		r.flags = append(r.flags, "-p", fmt.Sprintf("127.0.0.1:%s:%s/%s", hostPort, port, network))
	}
	return r
}

func tapRoad(t *testing.T, on target) *road {
	r := &road{name: "tap", on: on, ns: newTap(t),
		flags: []string{"--net", "tap:" + tapName, "--ip", tapGuest4 + "/24", "--ip", tapGuest6 + "/64"},
		host4: tapHost4, host6: tapHost6, local4: tapHost4, local6: tapHost6}
	r.guestAt(tapGuest4)
	return r
}

func (r *road) guestAt(host string) {
	r.guest = map[string]string{}
	for _, p := range guestPorts {
		r.guest[p] = net.JoinHostPort(host, p[4:])
	}
}

// start runs the guest program at the other end of the road.
func (r *road) start(t testing.TB, args ...string) *proc {
	t.Helper()
	return r.startImage(t, r.on.image(t, netGuestPkg), nil, args...)
}

func (r *road) startImage(t testing.TB, img string, flags []string, args ...string) *proc {
	t.Helper()
	line := r.on.line(r.flags...)
	line = append(append(line, flags...), img)
	s := setting{ns: r.ns, limit: 2 * limit}
	if r.resolv != "" {
		// A mount of its own, in a namespace that ends with the tool.
		const script = `mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
		line = append([]string{"--mount", "sh", "-c", script, "sh", r.resolv, needTool(t)}, line...)
		return s.exec(t, xtest.NeedCommand(t, "unshare", "util-linux"), append(line, args...)...)
	}
	return s.start(t, append(line, args...)...)
}

// run runs the guest program to its end, which must be a good one.
func (r *road) run(t testing.TB, stdout []string, args ...string) result {
	t.Helper()
	res := r.start(t, args...).wait()
	res.want(t, 0, stdout, nil)
	return res
}

// serve starts the guest's servers.
func (r *road) serve(t testing.TB) *proc {
	t.Helper()
	// Of each of 1,000 connections, io.Copy alone has 32 KiB.
	p := r.startImage(t, r.on.image(t, netGuestPkg), r.on.memory("128M"), "serve")
	p.expect("ready\n")
	return p
}

// dialTimeout bounds a connection attempt, which nothing delays here.
const dialTimeout = 10 * time.Second

// dial connects to a port of the guest, "tcp 80".
func (r *road) dial(ctx context.Context, port string) (c net.Conn, err error) {
	d := net.Dialer{Timeout: dialTimeout}
	err = r.ns.do(func() (err error) {
		c, err = d.DialContext(ctx, port[:3], r.guest[port])
		return err
	})
	return c, err
}

// mustDial is dial with a deadline for all that the test does afterwards.
func (r *road) mustDial(t testing.TB, port string) net.Conn {
	t.Helper()
	c, err := r.dial(t.Context(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(limit))
	return c
}

// tcp is mustDial for a TCP port.
func (r *road) tcp(t testing.TB, port string) *net.TCPConn {
	t.Helper()
	return r.mustDial(t, "tcp "+port).(*net.TCPConn)
}

// listen serves connections of the guest's with f, at the address that it
// returns as the guest knows it. family is 4 or 6.
func (r *road) listen(t testing.TB, family int, f func(c *net.TCPConn)) string {
	t.Helper()
	local, host := r.local4, r.host4
	if family == 6 {
		local, host = r.local6, r.host6
	}
	var l net.Listener
	err := r.ns.do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(local, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go f(c.(*net.TCPConn))
		}
	}()
	return withPort(host, l.Addr())
}

func withPort(host string, a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return net.JoinHostPort(host, port)
}

// listenPacket is listen for datagrams, each of which it returns.
func (r *road) listenPacket(t testing.TB, family int) string {
	t.Helper()
	local, host := r.local4, r.host4
	if family == 6 {
		local, host = r.local6, r.host6
	}
	var c net.PacketConn
	err := r.ns.do(func() (err error) {
		c, err = net.ListenPacket("udp", net.JoinHostPort(local, "0"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			c.WriteTo(buf[:n], from)
		}
	}()
	return withPort(host, c.LocalAddr())
}

// packets returns a socket that sees the tap's frames of a protocol, in network
// order, and sends some. Reading from it ends after 0.1 s without any.
func (r *road) packets(t *testing.T, protocol uint16) *os.File {
	t.Helper()
	var fd int
	err := r.ns.do(func() (err error) {
		i, err := net.InterfaceByName(tapName)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol)); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: i.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "packets")
	t.Cleanup(func() { unix.Shutdown(fd, unix.SHUT_RDWR); f.Close() })
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000})
	return f
}
