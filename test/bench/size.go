package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// measureSize: the images, and the same programs as plain files.
func (b *bench) measureSize(context.Context) error {
	for _, p := range []struct {
		name string
		program
		limit float64
	}{{"hello", b.hello, 1.4}, {"website", b.site, 8.5}, {"pinata", b.pinata, 8.5}} {
		m := b.add(measure{name: "Size/" + p.name, what: "image size, stripped: " + p.name, unit: "MB", goal: atMost(p.limit)})
		for _, side := range []struct {
			path string
			to   *[]float64
		}{{p.image, &m.vm}, {p.plain, &m.plain}} {
			st, err := os.Stat(side.path)
			if err != nil {
				return err
			}
			*side.to = append(*side.to, float64(st.Size())/1e6)
		}
	}
	return nil
}

// memoryStep is what the monitor rounds the guest's memory to, in MiB.
const memoryStep = 2

// measureMemory: the smallest -m with which a program does its work.
func (b *bench) measureMemory(ctx context.Context) error {
	m := b.add(measure{name: "Memory/hello", what: "smallest `-m` that works: hello", unit: "MiB", goal: atMost(8)})
	least, err := smallest(2, 64, func(mib int) (bool, error) { return b.helloWorks(ctx, mib) })
	if err != nil {
		return err
	}
	m.vm = append(m.vm, float64(least))

	m = b.add(measure{name: "Memory/website", what: fmt.Sprintf("smallest `-m` that works: website, %d connections", connections), unit: "MiB", goal: atMost(32)})
	least, err = smallest(8, 128, func(mib int) (bool, error) { return b.siteWorks(ctx, mib) })
	if err != nil {
		return err
	}
	m.vm = append(m.vm, float64(least))
	rss, err := b.plainPeak(ctx)
	if err != nil {
		return err
	}
	m.plain = append(m.plain, rss)
	m.note("the plain process's figure is its resident set at its peak under the same load (VmHWM)")
	return nil
}

// smallest returns the least number from low to high, a step apart, that
// works, by bisection. It fails if high does not.
func smallest(low, high int, works func(int) (bool, error)) (int, error) {
	lo, hi := low/memoryStep, high/memoryStep
	if ok, err := works(high); err != nil || !ok {
		return 0, fmt.Errorf("it does not work with %d MiB either (%v)", high, err)
	}
	for lo < hi {
		mid := (lo + hi) / 2
		ok, err := works(mid * memoryStep)
		if err != nil {
			return 0, err
		}
		if ok {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return hi * memoryStep, nil
}

func (b *bench) helloWorks(ctx context.Context, mib int) (bool, error) {
	out, err := output(ctx, anywhere, b.tailor, "run", "-t", b.target, "-m", fmt.Sprintf("%dM", mib), b.hello.image)
	return err == nil && strings.HasPrefix(out, "Hello"), ctx.Err()
}

// siteWorks reports whether the web server answers every request of a load
// with so much memory, and is there afterwards.
func (b *bench) siteWorks(ctx context.Context, mib int) (bool, error) {
	args := b.onTap(b.site.image)
	args = append([]string{args[0], "run", "-t", b.target, "-m", fmt.Sprintf("%dM", mib)}, args[4:]...)
	p, err := start(ctx, serverPlace(b.net.client), args...)
	if err != nil {
		return false, err
	}
	defer p.stop()
	return b.underLoad(ctx, p, tapGuest) == nil, ctx.Err()
}

// underLoad runs a load and returns an error if any request of it failed.
func (b *bench) underLoad(ctx context.Context, p *proc, host string) error {
	if err := b.await(ctx, b.net.client, p, host+":80"); err != nil {
		return err
	}
	_, err := b.wrk(ctx, b.net.client, "http://"+host+"/", b.load)
	if err == nil {
		err = b.await(ctx, b.net.client, p, host+":80")
	}
	return err
}

func (b *bench) plainPeak(ctx context.Context) (float64, error) {
	p, err := start(ctx, serverPlace(b.net.server), b.site.plain)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	if err := b.underLoad(ctx, p, vethPeer); err != nil {
		return 0, err
	}
	return p.memory("VmHWM")
}

// await waits until a server takes connections, or has ended.
func (b *bench) await(ctx context.Context, ns string, p *proc, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.done:
			time.Sleep(50 * time.Millisecond) // a last answer may be on its way
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := output(ctx, clientPlace(ns), b.peer.plain, "wait", addr, "5")
	if gone := p.ended(); gone != nil {
		return gone
	}
	return err
}
