package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// measurePing: the time an echo takes to and from a machine with nothing else
// to do.
func (b *bench) measurePing(ctx context.Context) error {
	m := b.add(measure{name: "Ping", what: "ping RTT over tap, idle VM (plain: the kernel, over veth)", unit: "ms", goal: atMost(0.3)})
	p, err := start(ctx, anywhere.in(b.net.client), b.onTap(b.site.image)...)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := b.await(ctx, b.net.client, p, tapGuest+":80"); err != nil {
		return err
	}
	const rounds = 4
	for range rounds {
		for _, side := range []struct {
			host string
			to   *[]float64
		}{{tapGuest, &m.vm}, {vethPeer, &m.plain}} {
			rtts, err := b.ping(ctx, side.host, max(1, b.pings/rounds))
			if err != nil {
				return err
			}
			*side.to = append(*side.to, rtts...)
		}
	}
	m.note("p99 %s ms, plain %s ms", number(quantile(m.vm, 0.99)), number(quantile(m.plain, 0.99)))
	return nil
}

// in returns the same place in a namespace.
func (p place) in(ns string) place {
	p.ns = ns
	return p
}

var pingTime = regexp.MustCompile(`time=([0-9.]+) ms`)

// ping returns the times of count echoes in milliseconds; a lost one is an
// error.
func (b *bench) ping(ctx context.Context, host string, count int) ([]float64, error) {
	out, err := output(ctx, anywhere.in(b.net.client), "ping", "-n", "-c", strconv.Itoa(count), "-i", "0.01", "-W", "2", host)
	if err != nil {
		return nil, err
	}
	var rtts []float64
	for _, m := range pingTime.FindAllStringSubmatch(out, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		rtts = append(rtts, v)
	}
	if len(rtts) != count {
		return nil, fmt.Errorf("%d of %d echoes were answered:\n%s", len(rtts), count, out)
	}
	return rtts, nil
}

// measureIdle: what a web server without requests costs.
func (b *bench) measureIdle(ctx context.Context) error {
	m := b.add(measure{name: "Idle", what: fmt.Sprintf("processor time of an idle website over %v", b.idle), unit: "%", goal: atMost(1)})
	rss := b.add(measure{name: "IdleMemory", what: "resident memory of an idle website, host's view", unit: "MiB"})
	vm := side{b.net.client, serverPlace(b.net.client), b.onTap(b.site.image), tapGuest + ":80", ""}
	plain := side{b.net.client, serverPlace(b.net.server), []string{b.site.plain}, vethPeer + ":80", ""}
	servers, err := b.serve(ctx, vm, plain)
	if err != nil {
		return err
	}
	defer servers[0].stop()
	defer servers[1].stop()
	time.Sleep(time.Second) // what the start leaves behind is not idleness
	used, err := b.usedWhile(ctx, servers)
	if err != nil {
		return err
	}
	for i, to := range []*[]float64{&m.vm, &m.plain} {
		*to = append(*to, 100*used[i].Seconds()/b.idle.Seconds())
	}
	for i, to := range []*[]float64{&rss.vm, &rss.plain} {
		v, err := servers[i].memory("VmRSS")
		if err != nil {
			return err
		}
		*to = append(*to, v)
	}
	return nil
}

// usedWhile returns the processor time that each process uses while nothing is
// asked of it.
func (b *bench) usedWhile(ctx context.Context, procs []*proc) ([]time.Duration, error) {
	used := make([]time.Duration, len(procs))
	for i, p := range procs {
		t, err := p.cpuTime()
		if err != nil {
			return nil, err
		}
		used[i] = -t
	}
	select {
	case <-time.After(b.idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for i, p := range procs {
		if err := p.ended(); err != nil {
			return nil, err
		}
		t, err := p.cpuTime()
		if err != nil {
			return nil, err
		}
		used[i] += t
	}
	return used, nil
}

// measureRebuild: a build with nothing changed, against go build alone.
func (b *bench) measureRebuild(ctx context.Context) error {
	m := b.add(measure{name: "Rebuild", what: "`tailor build` of website with nothing changed, against `go build`", unit: "ms"})
	over := b.add(measure{name: "RebuildOver", what: "of which above `go build`", unit: "ms", goal: atMost(500)})
	out := b.dir + "/rebuilt"
	for range b.rebuild {
		begin := time.Now()
		if _, err := output(ctx, anywhere, b.tailor, "build", "-t", "hvt", "-o", out+".img", b.site.pkg); err != nil {
			return err
		}
		vm := ms(time.Since(begin))
		begin = time.Now()
		if err := goBuild(ctx, out, b.site.pkg); err != nil {
			return err
		}
		plain := ms(time.Since(begin))
		m.vm, m.plain, over.vm = append(m.vm, vm), append(m.plain, plain), append(over.vm, vm-plain)
	}
	return nil
}
