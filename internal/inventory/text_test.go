package inventory

import (
	"strings"
	"testing"
)

// On a terminal no line of a table is longer than it has columns, and what has no place
// beside the others is below them; elsewhere nothing is cut, and a service is a line.
func TestWidth(t *testing.T) {
	const long = "module github.com/some-company/some-repository-with-a-long-name/v2"
	chain := []string{"x", "net", "Tailor/boot/network", "Tailor/virtio/netdev"}
	tally := &Tally{Go: 123_456}
	r := &Report{
		File: "x.img", graph: &Graph{Main: "x"}, Layers: []Layer{{Name: long, Bytes: 12_345_678}},
		Services: []Service{{Name: "local sockets (AF_UNIX)", Kind: "service", Bytes: 12_345_678, Imports: chain, Implementation: "the time stamp counter and the starter's clock page"}},
		Lines:    &Lines{Linked: tally, Compiled: tally, Layers: []LineLayer{{Name: long, Linked: tally, Compiled: tally}}},
	}
	text := func(width int) string {
		var b strings.Builder
		if err := r.WriteText(&b, width); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, width := range []int{66, 80, 100} {
		for line := range strings.Lines(text(width)) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > max(width, 80) || n > width && strings.HasPrefix(line, "  ") {
				t.Errorf("%d columns: %d in %q", width, n, line)
			}
		}
	}
	const below = "starter's\n                                       clock page\n    imported by: main > net > Tailor/boot/network > Tailor/virtio/netdev\n"
	if got := text(80); !strings.Contains(got, below) || !strings.Contains(got, "\n  githu..h-a-long-name/v2") {
		t.Error(got)
	}
	for _, want := range []string{"clock page  main > net > Tailor/boot/network > Tailor/virtio/netdev\n", long + "  ", strings.TrimPrefix(long, "module ") + "  "} {
		if got := text(0); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
