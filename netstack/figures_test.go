package netstack

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/netstack/dhcp4"
	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// figuresOf returns a stack's figures, by name and labels.
func figuresOf(t *testing.T, s *Stack) map[string]float64 {
	t.Helper()
	var w metrics.Writer
	s.writeFigures(&w)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(string(w.Bytes())))
	if err != nil {
		t.Fatalf("%v\n%s", err, w.Bytes())
	}
	all := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			key := strings.TrimPrefix(name, "tailor_")
			for _, l := range m.GetLabel() {
				if l.GetName() != "device" {
					key += " " + l.GetValue()
				}
			}
			all[key] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}

// TestFigures: what a link that loses packets does is in the figures.
func TestFigures(t *testing.T) {
	a, b, _ := newPair(t, netdevtest.Options{Features: withoutOffload, Loss: 0.02, Seed: 7})
	const open = 2
	for range open {
		c1, c2, err := connPair(b, a, host1)
		if err != nil {
			t.Fatal(err)
		}
		defer c1.Close()
		defer c2.Close()
		if err := transfer(c1, c2, 256<<10); err != nil {
			t.Fatal(err)
		}
	}
	from, to := figuresOf(t, b), figuresOf(t, a)
	for _, c := range []struct {
		all       map[string]float64
		key       string
		low, high float64
	}{
		{from, "tcp_opened_total connect", open, open},
		{from, "tcp_opened_total accept", 0, 0},
		{to, "tcp_opened_total accept", open, open},
		{from, "tcp_retransmits_total", 1, 1000},
		{to, "tcp_resets_total out", 0, 0},
		{from, "tcp_segments_total out", 30, 1e5},
		{to, "network_bytes_total in", open * 256 << 10, open * 320 << 10},
		{from, "network_dropped_total out", 0, 0},
		{to, "network_up", 1, 1},
		{newFigures(t), "tcp_connections", 0, 0},
	} {
		if v, ok := c.all[c.key]; !ok || v < c.low || v > c.high {
			t.Errorf("%s is %v (%v), want %v to %v", c.key, v, ok, c.low, c.high)
		}
	}
	a.Broken(0)
	if v := figuresOf(t, a)["network_up"]; v != 0 {
		t.Errorf("a broken card is up: %v", v)
	}
}

// newFigures are those of a stack without a card.
func newFigures(t *testing.T) map[string]float64 { return figuresOf(t, newStack(t)) }

// TestFiguresDHCP: with a lease, without one, and where there is no client.
func TestFiguresDHCP(t *testing.T) {
	s := newStack(t)
	if _, ok := figuresOf(t, s)["dhcp_bound"]; ok {
		t.Error("DHCP where there is none")
	}
	cable, err := netdevtest.New(netdevtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cable.Close()
	if err := s.Start(cable.Device[0], "ip=none"); err != nil {
		t.Fatal(err)
	}
	c := s.cards[0]
	c.found.Store(&Found{Events: [dhcp4.Events]uint64{dhcp4.NoAnswer: 2}})
	if all := figuresOf(t, s); all["dhcp_bound"] != 0 || all["dhcp_events_total no answer"] != 2 {
		t.Errorf("%v", all)
	}
	c.found.Store(&Found{Addr: netip.MustParsePrefix("192.0.2.2/24"), Server: netip.MustParseAddr("192.0.2.1"), Until: time.Now().Add(time.Minute)})
	if all := figuresOf(t, s); all["dhcp_bound"] != 1 || all["dhcp_lease_info 192.0.2.2/24 192.0.2.1"] != 1 || all["dhcp_lease_remaining_seconds"] < 58 {
		t.Errorf("%v", all)
	}
	c.found.Store(&Found{Addr: netip.MustParsePrefix("192.0.2.2/24"), Forever: true})
	if _, ok := figuresOf(t, s)["dhcp_lease_remaining_seconds"]; ok {
		t.Error("time is left of for ever")
	}
}
