package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// bulkMeasures are the lines of the report that a bulk transfer fills in.
type bulkMeasures struct {
	rate, cpu *measure
	exits     *measure // nil if its packets are not counted
	segments  *measure // the same, by segments of the MTU's size
}

func (b *bench) bulkMeasures(name, what string, g goal) bulkMeasures {
	return bulkMeasures{
		rate: b.add(measure{name: name + "/rate", what: what, unit: "Gbit/s", goal: g}),
		cpu:  b.add(measure{name: name + "/cpu", what: what + ": server's processor time per GB", unit: "ms"}),
	}
}

// measureBulk: one TCP connection as fast as it goes, each way. In is into the
// virtual machine.
func (b *bench) measureBulk(ctx context.Context) error {
	vm := side{b.net.client, serverPlace(b.net.client), b.onTap(b.peer.image, "serve", ":5001"), tapGuest + ":5001", b.net.tap}
	plain := side{b.net.client, serverPlace(b.net.server), []string{b.peer.plain, "serve", ":5001"}, vethPeer + ":5001", ""}
	for _, direction := range []string{"in", "out"} {
		what := "bulk TCP over tap, " + direction
		m := b.bulkMeasures("Bulk/tap/"+direction, what, atLeast(8))
		m.exits = b.add(measure{name: "Bulk/tap/" + direction + "/exits", what: what + ": VM exits per 1,000 packets, of up to 64 KiB", unit: "exits", goal: atMost(50)})
		m.segments = b.add(measure{name: "Bulk/tap/" + direction + "/segments", what: what + ": VM exits per 1,000 segments of 1,448 bytes", unit: "exits"})
		for range b.rounds {
			if err := b.bulkRound(ctx, direction, m, vm, plain); err != nil {
				return err
			}
		}
	}
	return nil
}

// bulkRound measures both sides once, the virtual machine newly started so
// that all its exits are for this transfer.
func (b *bench) bulkRound(ctx context.Context, direction string, m bulkMeasures, vm, plain side) error {
	servers, err := b.serve(ctx, vm, plain)
	if err != nil {
		return err
	}
	defer servers[0].stop()
	defer servers[1].stop()
	rate, cpu, err := b.bulk(ctx, vm, servers[0], direction)
	if err != nil {
		return err
	}
	m.rate.vm, m.cpu.vm = append(m.rate.vm, rate), append(m.cpu.vm, cpu)
	if m.exits != nil {
		exits, packets, err := exitsAndPackets(vm, servers[0])
		if err != nil {
			return err
		}
		segments := rate / 8 * 1e9 * b.load.Seconds() / segmentBytes
		m.exits.vm = append(m.exits.vm, 1000*exits/packets)
		m.segments.vm = append(m.segments.vm, 1000*exits/segments)
	}
	if rate, cpu, err = b.bulk(ctx, plain, servers[1], direction); err != nil {
		return err
	}
	m.rate.plain, m.cpu.plain = append(m.rate.plain, rate), append(m.cpu.plain, cpu)
	return nil
}

// segmentBytes is the payload in bytes of a full TCP segment in an MTU of 1,500
// bytes, with time stamps.
const segmentBytes = 1448

// exitsAndPackets ends a virtual machine and returns its VM exits and the
// packets on its interface.
func exitsAndPackets(s side, vm *proc) (exits, packets float64, err error) {
	n, err := vm.packets(s.device)
	if err != nil {
		return 0, 0, err
	}
	stats, err := parseStats(vm.stop())
	return float64(stats.exits), float64(n), err
}

// bulk transfers once and returns the rate in Gbit/s, and the server's processor
// time in milliseconds per 10^9 bytes.
func (b *bench) bulk(ctx context.Context, s side, p *proc, direction string) (rate, cpu float64, err error) {
	before, err := p.cpuTime()
	if err != nil {
		return 0, 0, err
	}
	out, err := output(ctx, clientPlace(s.client), b.peer.plain, direction, s.addr, strconv.FormatFloat(b.load.Seconds(), 'f', -1, 64))
	if err != nil {
		if gone := p.ended(); gone != nil {
			err = gone
		}
		return 0, 0, err
	}
	after, err := p.cpuTime()
	if err != nil {
		return 0, 0, err
	}
	var bytes, ns float64
	if _, err := fmt.Sscanf(strings.TrimSpace(out), "%f bytes in %f ns", &bytes, &ns); err != nil {
		return 0, 0, fmt.Errorf("peer printed %q: %w", out, err)
	}
	return 8 * bytes / ns, ms(after-before) / (bytes / 1e9), nil
}

func (b *bench) usernetBulk(ctx context.Context) error {
	for _, direction := range []string{"in", "out"} {
		m := b.bulkMeasures("Bulk/user/"+direction, "bulk TCP over the user network (`-p`), "+direction, goal{})
		for range b.informal() {
			vm, plain, err := b.published(b.peer, "5001", "serve")
			if err != nil {
				return err
			}
			if err := b.bulkRound(ctx, direction, m, vm, plain); err != nil {
				return err
			}
		}
	}
	return nil
}
