package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// measureBulk: one TCP connection as fast as it goes, each way. In is into the
// virtual machine.
func (b *bench) measureBulk(ctx context.Context) error {
	for _, direction := range []string{"in", "out"} {
		m := b.add(measure{name: "Bulk/tap/" + direction, what: "bulk TCP over tap, " + direction, unit: "Gbit/s", goal: atLeast(8)})
		exits := b.add(measure{name: "BulkExits/" + direction, what: "bulk TCP over tap, " + direction + ": VM exits per 1,000 packets", unit: "exits", goal: atMost(50)})
		vm := side{b.net.client, serverPlace(b.net.client), b.onTap(b.peer.image, "serve", ":5001"), tapGuest + ":5001", b.net.tap}
		plain := side{b.net.client, serverPlace(b.net.server), []string{b.peer.plain, "serve", ":5001"}, vethPeer + ":5001", ""}
		for range b.rounds {
			if err := b.bulkRound(ctx, direction, m, exits, vm, plain); err != nil {
				return err
			}
		}
	}
	return nil
}

// bulkRound measures both sides once, the virtual machine newly started so
// that all its exits are for this transfer.
func (b *bench) bulkRound(ctx context.Context, direction string, m, exits *measure, vm, plain side) error {
	servers, err := b.serve(ctx, vm, plain)
	if err != nil {
		return err
	}
	defer servers[0].stop()
	defer servers[1].stop()
	rate, err := b.bulk(ctx, vm, servers[0], direction)
	if err != nil {
		return err
	}
	m.vm = append(m.vm, rate)
	if exits != nil {
		perPacket, err := exitsPerPacket(vm, servers[0])
		if err != nil {
			return err
		}
		exits.vm = append(exits.vm, 1000*perPacket)
	}
	if rate, err = b.bulk(ctx, plain, servers[1], direction); err != nil {
		return err
	}
	m.plain = append(m.plain, rate)
	return nil
}

func exitsPerPacket(s side, vm *proc) (float64, error) {
	packets, err := vm.packets(s.device)
	if err != nil {
		return 0, err
	}
	stats, err := parseStats(vm.stop())
	return float64(stats.exits) / float64(packets), err
}

// bulk transfers once and returns the rate in Gbit/s.
func (b *bench) bulk(ctx context.Context, s side, p *proc, direction string) (float64, error) {
	out, err := output(ctx, clientPlace(s.client), b.peer.plain, direction, s.addr, strconv.FormatFloat(b.load.Seconds(), 'f', -1, 64))
	if err != nil {
		if gone := p.ended(); gone != nil {
			err = gone
		}
		return 0, err
	}
	var bytes, ns float64
	if _, err := fmt.Sscanf(strings.TrimSpace(out), "%f bytes in %f ns", &bytes, &ns); err != nil {
		return 0, fmt.Errorf("peer printed %q: %w", out, err)
	}
	return 8 * bytes / ns, nil
}

func (b *bench) usernetBulk(ctx context.Context) error {
	for _, direction := range []string{"in", "out"} {
		m := b.add(measure{name: "Bulk/user/" + direction, what: "bulk TCP over the user network (`-p`), " + direction, unit: "Gbit/s"})
		for range b.rounds {
			vm, plain, err := b.published(b.peer, "5001", "serve")
			if err != nil {
				return err
			}
			if err := b.bulkRound(ctx, direction, m, nil, vm, plain); err != nil {
				return err
			}
		}
	}
	return nil
}
