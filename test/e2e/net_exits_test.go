package e2e

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestExitsPerEcho, of hvt alone, which counts them: an idle guest that answers an echo request leaves virtual
// machine mode once for both, the doorbell for its answer and going idle.
func TestExitsPerEcho(t *testing.T) {
	const echoes = 200
	needPing(t)
	r := tapRoad(t, targetHVT(t))
	r.flags = append(r.flags, "-v")
	p := r.serve(t)
	r.ns.command(t, "ping", "-q", "-c", fmt.Sprint(echoes), "-i", "0.01", tapGuest4)
	p.signal(unix.SIGTERM)
	res := p.wait()
	_, line, _ := strings.Cut(res.stderr, "exit code 0; ")
	var exits int
	if n, _ := fmt.Sscanf(line, "%d VM exits", &exits); n != 1 {
		t.Fatalf("no number of VM exits:\n%s", res.stderr)
	}
	if exits > echoes*3/2 {
		t.Errorf("%d VM exits for %d echoes", exits, echoes)
	}
}
