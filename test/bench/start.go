package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"
)

// measureStart: process start to the first line of output.
func (b *bench) measureStart(ctx context.Context) error {
	m := b.add(measure{name: "StartHello", what: "`tailor run hello.img`: process start to first line of output", unit: "ms", goal: atMost(12)})
	in := b.add(measure{name: "GuestStart", what: "of which the guest's first instruction to its first line of output (main is before it)", unit: "ms", goal: atMost(2)})
	set := b.add(measure{name: "Setup", what: "of which setting up the virtual machine", unit: "ms"})
	var exits []float64
	for range b.starts {
		vm, stderr, err := firstLine(ctx, b.tailor, "run", "-t", b.target, "-v", b.hello.image)
		if err != nil {
			return err
		}
		plain, _, err := firstLine(ctx, b.hello.plain)
		if err != nil {
			return err
		}
		s, err := parseStats(stderr)
		if err != nil {
			return err
		}
		m.vm, m.plain = append(m.vm, ms(vm)), append(m.plain, ms(plain))
		in.vm, set.vm = append(in.vm, ms(s.first)), append(set.vm, ms(s.setup))
		exits = append(exits, float64(s.exits))
	}
	in.note("%s VM exits from start to end", number(median(exits)))
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// firstLine starts a program and returns how long its first line of output
// took, and what it wrote to standard error in all.
func firstLine(ctx context.Context, args ...string) (time.Duration, string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, "", err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, "", err
	}
	line, readErr := bufio.NewReader(out).ReadString('\n')
	took := time.Since(begin)
	io.Copy(io.Discard, out)
	if err := errors.Join(readErr, cmd.Wait()); err != nil {
		return 0, "", fmt.Errorf("%v: printed %q: %w\n%s", args, line, err, &stderr)
	}
	return took, stderr.String(), nil
}

// measureAnswer: process start to the first answer of a web server.
func (b *bench) measureAnswer(ctx context.Context) error {
	m := b.add(measure{name: "StartWebsite", what: "`tailor run -p website.img`: process start to first 200", unit: "ms", goal: atMost(25)})
	for range b.starts {
		port, err := freePort()
		if err != nil {
			return err
		}
		vm, err := firstAnswer(ctx, port, b.tailor, "run", "-t", b.target, "-p", fmt.Sprintf("127.0.0.1:%d:80", port), b.site.image)
		if err != nil {
			return err
		}
		plain, err := firstAnswer(ctx, port, b.site.plain, "-addr", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		m.vm, m.plain = append(m.vm, ms(vm)), append(m.plain, ms(plain))
	}
	return nil
}

// freePort returns a TCP port of the loopback interface that is free now.
func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// retry is how long a client waits after its connection was refused.
const retry = 100 * time.Microsecond

// firstAnswer starts a server and returns how long its first answer took, by a
// client that connects again while it is refused, and then waits.
func firstAnswer(ctx context.Context, port int, args ...string) (time.Duration, error) {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	begin := time.Now()
	p, err := start(ctx, anywhere, args...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			err = get(conn)
			took := time.Since(begin)
			if err != nil {
				err = fmt.Errorf("%v: first request: %w", args, err)
			}
			return took, err
		}
		if gone := p.ended(); gone != nil {
			return 0, gone
		}
		if time.Since(begin) > limit {
			return 0, fmt.Errorf("%v: %w", args, err)
		}
		time.Sleep(retry)
	}
}

// get requests / on a new connection and closes it.
func get(conn net.Conn) error {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
