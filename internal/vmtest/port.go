package vmtest

import (
	"net"
	"sync"
	"testing"
)

// given are the addresses that FreePort has returned: whoever got one may not be
// listening yet.
var given sync.Map

// FreePort returns an address on loopback that nobody has, each time another.
func FreePort(t testing.TB, network string) string {
	t.Helper()
	for {
		addr := unused(t, network)
		if _, twice := given.LoadOrStore(network+addr, true); !twice {
			return addr
		}
	}
}

func unused(t testing.TB, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
