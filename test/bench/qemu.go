package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// qemuStarts bounds how often QEMU is started for each figure.
const qemuStarts = 15

//go:embed testdata/empty.asm
var emptySource string

// qemuSet is what the measurements under QEMU need besides the programs.
type qemuSet struct {
	empty         string            // a kernel that ends at once
	image         map[string]string // of target virtio, by package
	linux         string            // a Linux kernel, "" if there is none
	init          string            // its initramfs, with hello in it
	least, memory int               // the least in MiB with which that reaches hello, 0 if that was not searched for, and what it is given
}

// measureQEMU: what starts under QEMU's software emulation, and how fast.
func (b *bench) measureQEMU(ctx context.Context) error {
	for _, tool := range []string{"qemu-system-x86_64", "nasm"} {
		if _, err := exec.LookPath(tool); err != nil {
			fmt.Fprintf(os.Stderr, "bench: qemu is skipped: %v\n", err)
			return nil
		}
	}
	q, err := b.qemuSet(ctx)
	if err != nil {
		return err
	}
	if err := b.qemuStart(ctx, q); err != nil {
		return err
	}
	if err := b.qemuHTTP(ctx, q); err != nil {
		return err
	}
	return b.qemuBulk(ctx, q)
}

func (b *bench) qemuSet(ctx context.Context) (*qemuSet, error) {
	q := &qemuSet{empty: filepath.Join(b.dir, "empty.elf"), image: map[string]string{}}
	source := q.empty + ".asm"
	if err := os.WriteFile(source, []byte(emptySource), 0o666); err != nil {
		return nil, err
	}
	if _, err := output(ctx, anywhere, "nasm", "-f", "bin", "-o", q.empty, source); err != nil {
		return nil, err
	}
	for _, p := range []program{b.hello, b.site, b.peer} {
		q.image[p.pkg] = p.plain + ".virtio"
		if _, err := output(ctx, anywhere, b.tailor, "build", "-t", "virtio", "-o", q.image[p.pkg], p.pkg); err != nil {
			return nil, err
		}
	}
	return q, b.addLinux(ctx, q)
}

// fastest are the machines with what is not needed left out, as docs/targets.md
// recommends them.
var fastest = map[string]string{
	"microvm": "microvm,acpi=off,pit=off,pic=off,rtc=on,x-option-roms=off",
	"q35":     "q35,sata=off,smbus=off,usb=off,vmport=off",
}

// byHand is a QEMU command.
func byHand(machine, kernel string, more ...string) []string {
	return append([]string{
		"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
		"-accel", "tcg", "-cpu", "max", "-m", "64M", "-machine", machine, "-kernel", kernel,
	}, more...)
}

// A contender is a command whose start is measured, until it prints line, or
// until its end if that is "".
type contender struct {
	line string
	args []string
	to   *[]float64 // milliseconds
}

// helloLine is what hello prints.
const helloLine = "Hello, world!"

// qemuStart starts all contenders in turns.
func (b *bench) qemuStart(ctx context.Context, q *qemuSet) error {
	all := append(b.onMachine(q, "microvm"), b.onMachine(q, "q35")...)
	own := all[0].to
	beside, turn := b.besideLinux(q)
	all = append(all, beside...)
	site := q.image[b.site.pkg]
	answer := b.add(measure{name: "QEMU/microvm/answer", what: "QEMU microvm, TCG, user network: QEMU's start to the first 200 of website, less QEMU's own start", unit: "ms", goal: atMost(150)})
	answerRun := b.add(measure{name: "QEMU/microvm/answer/run", what: "the same by `tailor run -t qemu -p`, less QEMU's own start", unit: "ms"})
	for range min(b.starts, qemuStarts) {
		for _, c := range all {
			took, err := startOf(ctx, c)
			if err != nil {
				return err
			}
			*c.to = append(*c.to, took)
		}
		turn()
		for m, args := range map[*measure][]string{answer: q.answerByHand(site), answerRun: {b.tailor, "run", "-t", "qemu", "-m", "64M", "-p", "ADDR:80", site}} {
			took, err := b.qemuAnswer(ctx, args...)
			if err != nil {
				return err
			}
			m.vm = append(m.vm, took-last(*own))
		}
	}
	return nil
}

// onMachine returns what starts on a machine, QEMU with a kernel that ends at once
// first.
func (b *bench) onMachine(q *qemuSet, m string) []contender {
	hello := q.image[b.hello.pkg]
	own := b.add(measure{name: "QEMU/" + m + "/own", what: "QEMU " + m + ", TCG, 64 MiB: its own start and end, with a kernel that ends at once", unit: "ms"})
	direct := b.add(measure{name: "QEMU/" + m + "/hello", what: "QEMU " + m + ", TCG, 64 MiB: QEMU's start to the first line of hello", unit: "ms"})
	run := b.add(measure{name: "QEMU/" + m + "/run", what: "the same by `tailor run -t qemu --machine " + m + "`", unit: "ms"})
	all := []contender{
		{"", byHand(fastest[m], q.empty, "-device", "isa-debug-exit,iobase=0xf4"), &own.vm},
		{helloLine, byHand(fastest[m], hello, "-serial", "stdio"), &direct.vm},
		{helloLine, []string{b.tailor, "run", "-t", "qemu", "--machine", m, "-m", "64M", hello}, &run.vm},
	}
	if m == "microvm" {
		const plain = "qemu-system-x86_64 -M microvm -accel tcg -m 64M -nographic -kernel"
		direct.goal = atMost(60)
		issue := b.add(measure{name: "QEMU/microvm/plain", what: "the same by `" + plain + "`, nothing left out", unit: "ms"})
		all = append(all, contender{helloLine, append(strings.Fields(plain), hello), &issue.vm})
	}
	return all
}

// besideLinux returns hello and Linux on the same machine, none if there is no
// Linux, and what is to be called after each turn.
func (b *bench) besideLinux(q *qemuSet) (both []contender, turn func()) {
	if q.linux == "" {
		return nil, func() {}
	}
	m := b.add(measure{name: "QEMU/linux", what: "QEMU microvm with the old timer, TCG: QEMU's start to the first line of hello; beside it (\"plain process\"), Debian's cloud kernel with hello as its init", unit: "ms"})
	times := b.add(measure{name: "QEMU/linux/times", what: "so many times faster than Linux, turn by turn", unit: "times", goal: atLeast(25)})
	m.note("Linux has %d MiB of memory; the least with which it reached hello twice: %d (0: not searched for)", q.memory, q.least)
	return []contender{
		{helloLine, byHand(linuxMachine, q.image[b.hello.pkg], "-serial", "stdio"), &m.vm},
		{helloLine, q.linuxCommand(q.memory), &m.plain},
	}, func() { times.vm = append(times.vm, last(m.plain)/last(m.vm)) }
}

func last(s []float64) float64 { return s[len(s)-1] }

// startOf runs a contender to its end and returns how long its start took, in
// milliseconds.
func startOf(ctx context.Context, c contender) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	took := time.Duration(0)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if took == 0 && c.line != "" && strings.TrimSpace(lines.Text()) == c.line {
			took = time.Since(begin)
		}
	}
	io.Copy(io.Discard, out)
	err = cmd.Wait()
	var exit *exec.ExitError
	if c.line == "" && errors.As(err, &exit) && exit.ExitCode() == 1 { // isa-debug-exit's
		return ms(time.Since(begin)), nil
	}
	if err == nil && took == 0 {
		err = errors.New("it did not print " + c.line)
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(c.args, " "), err, &stderr)
	}
	return ms(took), nil
}

// qemuByHand returns the shell command that tailor run would use with TCG for
// flags, an image of target virtio and its arguments.
func (b *bench) qemuByHand(ctx context.Context, at place, args ...string) (string, error) {
	out, err := output(ctx, at, append([]string{b.tailor, "run", "-t", "qemu", "-n", "-m", "64M"}, args...)...)
	return "exec " + strings.TrimSpace(strings.Replace(out, "-accel kvm", "-accel tcg", 1)), err
}

// qemuAnswer starts a website, at the address that stands for ADDR in args, and
// returns the time to the first 200 in milliseconds.
func (b *bench) qemuAnswer(ctx context.Context, args ...string) (float64, error) {
	port, err := freePort()
	if err != nil {
		return 0, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "ADDR", addr)
	}
	begin := time.Now()
	p, err := start(ctx, anywhere, args...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	return b.anyAnswer(ctx, p, begin, addr)
}

// answerByHand is the issue's command with what is not needed left out.
func (q *qemuSet) answerByHand(site string) []string {
	return byHand(fastest["microvm"], site, "-append", "ip=10.0.2.15/24 gw=10.0.2.2", "-serial", "stdio",
		"-global", "virtio-mmio.force-legacy=false",
		"-netdev", "user,id=n0,hostfwd=tcp:ADDR-:80", "-device", "virtio-net-device,netdev=n0")
}

// attempt is how long after a connection the next one is made, if no answer has
// come: QEMU's user network takes connections before there is a guest, and sends
// what the guest did not get again after six seconds only.
const attempt = 10 * time.Millisecond

// anyAnswer returns when the first 200 of any connection came, in milliseconds
// from begin.
func (b *bench) anyAnswer(ctx context.Context, p *proc, begin time.Time, addr string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	answered := make(chan time.Duration, 1)
	var tries sync.WaitGroup
	defer tries.Wait()
	defer cancel()
	for {
		tries.Go(func() {
			if getUntil(ctx, addr) == nil {
				select {
				case answered <- time.Since(begin):
				default:
				}
			}
		})
		select {
		case took := <-answered:
			return ms(took), nil
		case <-ctx.Done():
			return 0, fmt.Errorf("no answer: %w", ctx.Err())
		case <-time.After(attempt):
		}
		if gone := p.ended(); gone != nil {
			return 0, gone
		}
	}
}

// getUntil requests / on a new connection, and gives up when ctx ends.
func getUntil(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return get(conn)
}
