package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// connections is how many a load keeps open.
const connections = 50

// A load is what wrk reports.
type load struct {
	rate     float64 // requests a second
	p50, p99 float64 // milliseconds
}

// wrk loads a server with keep-alive requests; any that fails is an error.
func (b *bench) wrk(ctx context.Context, ns, url string, d time.Duration) (load, error) {
	seconds := strconv.Itoa(max(1, int(d.Seconds())))
	out, err := output(ctx, clientPlace(ns), "wrk", "-t1", fmt.Sprintf("-c%d", connections), "-d"+seconds, "--timeout", "5s", "--latency", url)
	if err != nil {
		return load{}, err
	}
	return parseWrk(out)
}

var (
	wrkRate    = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkLatency = regexp.MustCompile(`\s(50|99)%\s+([0-9.]+)(us|ms|s)\b`)
	wrkFailed  = regexp.MustCompile(`Socket errors:.*|Non-2xx.*`)
)

func parseWrk(out string) (l load, err error) {
	if failed := wrkFailed.FindString(out); failed != "" {
		return l, fmt.Errorf("not every request was answered: %s", failed)
	}
	m := wrkRate.FindStringSubmatch(out)
	if m == nil {
		return l, fmt.Errorf("wrk printed no rate:\n%s", out)
	}
	if l.rate, err = strconv.ParseFloat(m[1], 64); err != nil || l.rate == 0 {
		return l, fmt.Errorf("no request was answered (%v):\n%s", err, out)
	}
	for _, m := range wrkLatency.FindAllStringSubmatch(out, -1) {
		d, err := time.ParseDuration(m[2] + m[3])
		if err != nil {
			return l, err
		}
		if m[1] == "50" {
			l.p50 = ms(d)
		} else {
			l.p99 = ms(d)
		}
	}
	return l, nil
}

// httpMeasures are the lines of the report that a load fills in.
type httpMeasures struct{ rate, p50, p99, cpu *measure }

func (b *bench) httpMeasures(name, what string, g goal) httpMeasures {
	return httpMeasures{
		b.add(measure{name: name + "/rate", what: what, unit: "req/s", goal: g}),
		b.add(measure{name: name + "/p50", what: what + ": p50", unit: "ms"}),
		b.add(measure{name: name + "/p99", what: what + ": p99", unit: "ms"}),
		b.add(measure{name: name + "/cpu", what: what + ": server's processor time per request", unit: "us"}),
	}
}

// A side is one of the two that are compared.
type side struct {
	client string // namespace
	server place
	args   []string
	addr   string // of the server, as the client sees it
	device string // interface whose packets are counted, "" for none
}

// measureHTTP: keep-alive requests over the tap, against veth.
func (b *bench) measureHTTP(ctx context.Context) error {
	h := b.httpMeasures("HTTP/tap", fmt.Sprintf("HTTP keep-alive, %d connections, tap", connections), atLeastRatio(0.5))
	vm := side{b.net.client, serverPlace(b.net.client), b.onTap(b.site.image), tapGuest + ":80", b.net.tap}
	plain := side{b.net.client, serverPlace(b.net.server), []string{b.site.plain}, vethPeer + ":80", ""}
	return b.compareHTTP(ctx, h, vm, plain, b.rounds)
}

// compareHTTP runs both servers and loads them in turns.
func (b *bench) compareHTTP(ctx context.Context, h httpMeasures, vm, plain side, rounds int) error {
	servers, err := b.serve(ctx, vm, plain)
	if err != nil {
		return err
	}
	defer servers[0].stop()
	defer servers[1].stop()
	var requests float64
	for range rounds {
		for i, s := range []side{vm, plain} {
			l, cpu, err := b.loadOne(ctx, s, servers[i])
			if err != nil {
				return err
			}
			if i == 0 {
				requests += l.rate * b.load.Seconds()
				h.rate.vm, h.p50.vm, h.p99.vm = append(h.rate.vm, l.rate), append(h.p50.vm, l.p50), append(h.p99.vm, l.p99)
				h.cpu.vm = append(h.cpu.vm, cpu)
			} else {
				h.rate.plain, h.p50.plain, h.p99.plain = append(h.rate.plain, l.rate), append(h.p50.plain, l.p50), append(h.p99.plain, l.p99)
				h.cpu.plain = append(h.cpu.plain, cpu)
			}
		}
	}
	return noteExits(h.rate, vm, servers[0], requests)
}

// serve starts both sides and waits until they take connections.
func (b *bench) serve(ctx context.Context, sides ...side) ([]*proc, error) {
	var all []*proc
	for _, s := range sides {
		p, err := start(ctx, s.server, s.args...)
		if err == nil {
			all = append(all, p)
			err = b.await(ctx, s.client, p, s.addr)
		}
		if err == nil {
			p.base, err = p.counted(s.device)
		}
		if err != nil {
			for _, p := range all {
				p.stop()
			}
			return nil, err
		}
	}
	return all, nil
}

// loadOne loads one server and returns its processor time per request too, in
// microseconds.
func (b *bench) loadOne(ctx context.Context, s side, p *proc) (load, float64, error) {
	before, err := p.cpuTime()
	if err != nil {
		return load{}, 0, err
	}
	l, err := b.wrk(ctx, s.client, "http://"+s.addr+"/", b.load)
	if err != nil {
		if gone := p.ended(); gone != nil {
			err = gone
		}
		return l, 0, err
	}
	after, err := p.cpuTime()
	return l, float64(after-before) / 1e3 / (l.rate * b.load.Seconds()), err
}

// noteExits stops the virtual machine and notes what its exits were for.
func noteExits(m *measure, s side, vm *proc, requests float64) error {
	packets, err := vm.packets(s.device)
	if err != nil {
		return err
	}
	stats, err := parseStats(vm.stop())
	if err != nil {
		return err
	}
	m.note("%.0f VM exits per 1,000 requests (%.0f notifications, %.0f idle)",
		1000*float64(stats.exits)/requests, 1000*float64(stats.notifies)/requests, 1000*float64(stats.idles)/requests)
	if packets > 0 {
		m.note("%.0f VM exits per 1,000 packets; %.1f packets a request", 1000*float64(stats.exits)/float64(packets), float64(packets)/requests)
	}
	return nil
}

// measureUsernet: what publishing a port costs, both sides on loopback.
func (b *bench) measureUsernet(ctx context.Context) error {
	if err := b.usernetHTTP(ctx); err != nil {
		return err
	}
	return b.usernetBulk(ctx)
}

func (b *bench) usernetHTTP(ctx context.Context) error {
	h := b.httpMeasures("HTTP/user", fmt.Sprintf("HTTP keep-alive, %d connections, user network (`-p`)", connections), goal{})
	vm, plain, err := b.published(b.site, "80", "-addr")
	if err != nil {
		return err
	}
	return b.compareHTTP(ctx, h, vm, plain, b.informal())
}

// published returns both sides of a program on loopback: behind -p, and
// listening itself, told so by its last arguments.
func (b *bench) published(p program, port string, args ...string) (vm, plain side, err error) {
	vmPort, err := freePort()
	if err != nil {
		return vm, plain, err
	}
	plainPort, err := freePort()
	if err != nil {
		return vm, plain, err
	}
	vmAddr, plainAddr := fmt.Sprintf("127.0.0.1:%d", vmPort), fmt.Sprintf("127.0.0.1:%d", plainPort)
	guest := append([]string{b.tailor, "run", "-t", b.target, "-v", "-p", vmAddr + ":" + port, p.image}, args...)
	vm = side{"", serverPlace(""), append(guest, ":"+port), vmAddr, ""}
	host := append([]string{p.plain}, args...)
	plain = side{"", serverPlace(""), append(host, plainAddr), plainAddr, ""}
	return vm, plain, nil
}
