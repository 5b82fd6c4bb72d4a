package main

import (
	"context"
	"fmt"
	"strings"
)

// noOffload takes a virtio network card's checksums and segmentation away.
const noOffload = ",csum=off,guest_csum=off,gso=off,host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off," +
	"guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off"

// qemuOnTap returns a server under QEMU, TCG, on the tap.
func (b *bench) qemuOnTap(ctx context.Context, machine, image, port string, offload bool, args ...string) (side, error) {
	s := side{b.net.client, serverPlace(b.net.client), nil, tapGuest + ":" + port, ""}
	flags := []string{"--machine", machine, "--net", "tap:" + b.net.tap, "--ip", tapGuest + "/24", image}
	command, err := b.qemuByHand(ctx, place{b.net.client, -1}, append(flags, args...)...)
	if err != nil {
		return s, err
	}
	if !offload {
		card := map[string]string{"microvm": "virtio-net-device", "q35": "virtio-net-pci"}[machine]
		command = strings.Replace(command, card, card+noOffload, 1)
	}
	s.args = []string{"sh", "-c", command}
	return s, nil
}

// qemuHTTP: keep-alive requests to a website under TCG.
func (b *bench) qemuHTTP(ctx context.Context, q *qemuSet) error {
	rate := b.add(measure{name: "QEMU/microvm/http", what: fmt.Sprintf("QEMU microvm, TCG, tap: HTTP keep-alive, %d connections", connections), unit: "req/s"})
	s, err := b.qemuOnTap(ctx, "microvm", q.image[b.site.pkg], "80", true)
	if err != nil {
		return err
	}
	servers, err := b.serve(ctx, s)
	if err != nil {
		return err
	}
	defer servers[0].stop()
	for range b.informal() {
		l, _, err := b.loadOne(ctx, s, servers[0])
		if err != nil {
			return err
		}
		rate.vm = append(rate.vm, l.rate)
	}
	return nil
}

// qemuBulk: one TCP connection as fast as it goes, with offloads and without, in
// turns.
func (b *bench) qemuBulk(ctx context.Context, q *qemuSet) error {
	for _, machine := range []string{"microvm", "q35"} {
		for _, direction := range []string{"in", "out"} {
			m := b.add(measure{name: "QEMU/" + machine + "/bulk/" + direction, unit: "Gbit/s",
				what: "QEMU " + machine + ", TCG, tap: bulk TCP " + direction + " with checksum and TSO offload; beside it (\"plain process\"), without"})
			for range b.informal() {
				for _, offload := range []bool{true, false} {
					v, err := b.qemuBulkOnce(ctx, q, machine, direction, offload)
					if err != nil {
						return err
					}
					if offload {
						m.vm = append(m.vm, v)
					} else {
						m.plain = append(m.plain, v)
					}
				}
			}
		}
	}
	return nil
}

func (b *bench) qemuBulkOnce(ctx context.Context, q *qemuSet, machine, direction string, offload bool) (float64, error) {
	s, err := b.qemuOnTap(ctx, machine, q.image[b.peer.pkg], "5001", offload, "serve", ":5001")
	if err != nil {
		return 0, err
	}
	servers, err := b.serve(ctx, s)
	if err != nil {
		return 0, err
	}
	defer servers[0].stop()
	rate, _, err := b.bulk(ctx, s, servers[0], direction)
	return rate, err
}
