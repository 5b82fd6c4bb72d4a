package programs

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// interopServer is gRPC's own server for tests of interoperability.
func interopServer(t testing.TB) string {
	return upstream(t, "google.golang.org/grpc", "/interop/server", "v1.85.0")
}

// lastCase is what the client prints at the end.
const lastCase = "500 calls, one after the other: "

func TestGRPCServer(t *testing.T) { each(t, testGRPCServer) }

func testGRPCServer(t *testing.T, on target) {
	interop := plain(t, local(t, "grpcclient"))
	g := on.boot(t, interopServer(t), []string{"10000/tcp"})
	// The client's preface and SETTINGS frame, and part of the server's.
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	g.answers(func() error { return exchange(g.addrs["10000/tcp"], preface, "\x04\x00\x00\x00\x00\x00") })
	told := client(t, interop, g.addrs["10000/tcp"])
	t.Log(told)
	if !strings.Contains(told, lastCase) {
		t.Error("the client ended before its last case")
	}
}

// TestGRPCClient runs the client as a guest, against a server on this machine.
func TestGRPCClient(t *testing.T) { each(t, testGRPCClient, "spt") }

func testGRPCClient(t *testing.T, on target) {
	addr := vmtest.FreePort(t, "tcp")
	_, port, _ := net.SplitHostPort(addr)
	server := vmtest.Setting{Limit: limit}.Exec(t, plain(t, interopServer(t)), "--port="+port)
	for {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-server.Done:
			t.Fatalf("the server ended: %+v", server.Wait())
		case <-time.After(5 * time.Millisecond):
		}
	}
	r := on.boot(t, local(t, "grpcclient"), nil, "10.0.2.2:"+port).Wait()
	r.Want(t, 0, []string{lastCase}, nil)
	t.Log(r.Stdout)
}
