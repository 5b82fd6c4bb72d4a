package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"
)

// qemuStarts bounds how often QEMU is started for each figure, which takes a
// tenth of a second.
const qemuStarts = 15

// measureQEMU: QEMU's start to what a program does first, on a microvm under TCG
// with 64 MiB, beside QEMU with a kernel that ends at once.
func (b *bench) measureQEMU(ctx context.Context) error {
	line := b.add(measure{name: "QEMUHello", what: "QEMU microvm, TCG, `-m 64M`: QEMU's start to the first line of hello; beside it, a kernel that ends at once", unit: "ms", goal: atMost(60)})
	answer := b.add(measure{name: "QEMUWebsite", what: "the same to the first 200 of website", unit: "ms"})
	empty := filepath.Join(b.dir, "empty.elf")
	if _, err := output(ctx, anywhere, "nasm", "-f", "bin", "-o", empty, "internal/qemu/testdata/kernel.asm"); err != nil {
		return err
	}
	hello, site := filepath.Join(b.dir, "hello.virtio"), filepath.Join(b.dir, "website.virtio")
	for image, pkg := range map[string]string{hello: b.hello.pkg, site: b.site.pkg} {
		if _, err := output(ctx, anywhere, b.tailor, "build", "-t", "virtio", "-o", image, pkg); err != nil {
			return err
		}
	}
	command, err := b.qemu(ctx, hello)
	if err != nil {
		return err
	}
	nothing := strings.ReplaceAll(command, hello, empty)
	nothing = strings.Replace(nothing, "-append ''", "-append x", 1)
	for range min(b.starts, qemuStarts) {
		first, _, err := firstLine(ctx, "sh", "-c", "exec "+command)
		if err != nil {
			return err
		}
		begin := time.Now()
		if _, err := output(ctx, anywhere, "sh", "-c", "exec "+nothing); err != nil {
			return err
		}
		line.vm, line.plain = append(line.vm, ms(first)), append(line.plain, ms(time.Since(begin)))
		took, err := b.qemuAnswer(ctx, site)
		if err != nil {
			return err
		}
		answer.vm = append(answer.vm, ms(took))
	}
	answer.plain = line.plain
	answer.note("%s ms more than QEMU itself (goal: at most 150)", number(median(answer.vm)-median(answer.plain)))
	return nil
}

// qemu returns the shell command that runs an image of target virtio by hand.
func (b *bench) qemu(ctx context.Context, image string, flags ...string) (string, error) {
	args := append([]string{b.tailor, "run", "-t", "qemu", "-n", "-m", "64M"}, flags...)
	out, err := output(ctx, anywhere, append(args, image)...)
	return strings.TrimSpace(strings.Replace(out, "-accel kvm", "-accel tcg", 1)), err
}

func (b *bench) qemuAnswer(ctx context.Context, site string) (time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	command, err := b.qemu(ctx, site, "-p", fmt.Sprintf("127.0.0.1:%d:80", port))
	if err != nil {
		return 0, err
	}
	return firstOfMany(ctx, port, "sh", "-c", "exec "+command)
}

// again is how often firstOfMany tries.
const again = 5 * time.Millisecond

// firstOfMany is firstAnswer for a network that accepts before the guest is there,
// and then leaves a connection waiting for seconds: it makes one after another
// and takes the first that is answered.
func firstOfMany(ctx context.Context, port int, args ...string) (time.Duration, error) {
	begin := time.Now()
	p, err := start(ctx, anywhere, args...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	took := make(chan time.Duration, 1)
	for time.Since(begin) < limit {
		go func() {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil && get(conn) == nil {
				select {
				case took <- time.Since(begin):
				default:
				}
			}
		}()
		select {
		case d := <-took:
			return d, nil
		case <-time.After(again):
		}
		if gone := p.ended(); gone != nil {
			return 0, gone
		}
	}
	return 0, fmt.Errorf("%v: no answer in %v", args, limit)
}
