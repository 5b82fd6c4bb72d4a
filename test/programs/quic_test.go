package programs

import (
	"strings"
	"testing"
)

const quicModule = "github.com/quic-go/quic-go"

// TestHTTP3: an HTTP/3 server on quic-go, with a client of its own.
func TestHTTP3(t *testing.T) { each(t, testHTTP3, "spt") }

func testHTTP3(t *testing.T, on target) {
	dir := local(t, "http3")
	get := plain(t, dir)
	g := on.boot(t, dir, []string{"443/udp"}, "serve", ":443")
	g.Expect("\n")
	hash := strings.TrimSpace(strings.TrimPrefix(g.Out.String(), "certificate "))
	url := "https://" + g.addrs["443/udp"] + "/echo"
	client(t, get, "get", url, hash, "1", "10")
	g.first()
	t.Log(client(t, get, "get", url, hash, "200", "5000"))
	t.Log(client(t, get, "get", url, hash, "4", "2000000"))
}

// TestQUICEcho runs quic-go's own example, whose client and server meet on the
// guest's loopback.
func TestQUICEcho(t *testing.T) { each(t, testQUICEcho) }

func testQUICEcho(t *testing.T, on target) {
	pkg := upstream(t, quicModule, "/example/echo", "v0.65.0")
	on.boot(t, pkg, nil).Wait().Want(t, 0, []string{"Server: Got 'foobar'\nClient: Got 'foobar'\n"}, nil)
}
