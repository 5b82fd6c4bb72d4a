package e2e

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/build"
)

// refused checks that a run of the tool ended before anything was started:
// code 125, nothing on standard output, one line of error that says what is
// wrong, and one of what to do about it.
func refused(t *testing.T, r result, says string) {
	t.Helper()
	lines := errorLines(r)
	ok := r.code == 125 && r.stdout == "" && len(lines) == 1 && strings.Contains(lines[0], says) &&
		strings.Count(r.stderr, "tailor: hint: ") == 1 && !strings.Contains(r.stderr, "goroutine ") && len(r.stderr) < 1000
	if !ok {
		t.Errorf("exit code %d, want 125, an error that says %q and a hint\nstdout:\n%s\nstderr:\n%s", r.code, says, clip(r.stdout), clip(r.stderr))
	}
}

// TestBadFlags: what is asked for cannot be. Malformed flags have scripts of
// their own beside the tool.
func TestBadFlags(t *testing.T) { each(t, testBadFlags, ownNetwork) }

func testBadFlags(t *testing.T, on target) {
	p := newPlace(t)
	img := on.image(t, netGuestPkg)
	var taken net.Listener
	var takenUDP net.PacketConn
	err := p.ns.do(func() (err error) {
		if taken, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
		takenUDP, err = net.ListenPacket("udp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	tcpPort, udpPort := portOf(taken.Addr()), portOf(takenUDP.LocalAddr())
	tests := []struct {
		says string
		args []string
	}{
		{"memory", []string{"-m", "1M"}},
		{"memory", []string{"-m", "1K"}},
		{"memory", []string{"-m", "6M"}},
		{"memory", []string{"-m", "100T"}},
		{"memory", []string{"-m", "8000000T"}},
		{"no unit", []string{"-m", "64"}},
		{"tcp port " + tcpPort + " of 127.0.0.1 is already in use", []string{"-p", "127.0.0.1:" + tcpPort + ":80"}},
		{"tcp port " + tcpPort + " is already in use", []string{"-p", tcpPort + ":80"}},
		{"udp port " + udpPort + " of 127.0.0.1 is already in use", []string{"-p", "127.0.0.1:" + udpPort + ":53/udp"}},
		{"does not have the address", []string{"-p", "192.0.2.77:8080:80"}},
		{"port", []string{"-p", "80"}},
		{"port", []string{"-p", "0:80"}},
		{"port", []string{"-p", "8080:99999"}},
		{"port", []string{"-p", "abc:80"}},
		{"protocol", []string{"-p", "8080:80/icmp"}},
		{"published", []string{"-p", ""}},
		{"no such interface", []string{"--net", "tap:nosuchtap"}},
		{"lo", []string{"--net", "tap:lo"}},
		{"name", []string{"--net", "tap:"}},
		{"unknown kind of network", []string{"--net", "bridge"}},
		{"--ip", []string{"--ip", "192.0.2.300/24"}},
		{"--ip", []string{"--ip", "192.0.2.5"}},
		{"--ip", []string{"--ip", "192.0.2.5/33"}},
		{"--ip", []string{"--ip", "192.0.2.5/24"}}, // without a tap
		{"--gateway", []string{"--net", "tap:" + tapName, "--ip", "192.0.2.5/24", "--gateway", "203.0.113.1"}},
		{"--dns", []string{"--dns", "server"}},
		{"unknown flag", []string{"--publsh", "8080:80"}},
		{"needs a value", []string{"-m"}},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			line := on.line(tt.args...)
			if tt.args[0] != "-m" || len(tt.args) > 1 {
				line = append(line, img, "nothing")
			}
			refused(t, p.start(t, line...).wait(), tt.says)
		})
	}
	if p.ns != nil {
		t.Run("tap in use", func(t *testing.T) {
			m := p.start(t, on.line("--net", "tap:"+tapName, "--ip", "host", img, "serve")...)
			m.expect("ready\n")
			refused(t, p.start(t, on.line("--net", "tap:"+tapName, "--ip", "host", img, "serve")...).wait(), "attached to it")
			m.signal(syscall.SIGTERM)
			m.wait().want(t, 0, nil, nil)
		})
	}
	taken.Close()
	takenUDP.Close()
	p.clean(t)
}

func portOf(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// TestBadImages: files that are no image, or none of ours, or of another time.
func TestBadImages(t *testing.T) { each(t, testBadImages, ownSystem) }

func testBadImages(t *testing.T, on target) {
	p := newPlace(t)
	good, err := os.ReadFile(on.image(t, "../../examples/hello"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	try := func(name string, file []byte, says string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.NewReplacer(" ", "-", "/", "-").Replace(name)+".img")
			if err := os.WriteFile(path, file, 0o644); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(path)
			refused(t, p.start(t, on.line(path)...).wait(), says)
		})
	}
	for _, n := range []int{0, 1, 3, 4, 16, 63, 64, 65, 119, 120, 400, 511, 4096, len(good) / 3, len(good) / 2, len(good) - 4096, len(good) - 100, end(t, good) - 1} {
		try(fmt.Sprintf("cut to %d", n), good[:n], filepath.Base(dir))
	}
	rnd := rand.NewChaCha8([32]byte{1})
	for _, n := range []int{1, 64, 4096, 1 << 20} {
		b := make([]byte, n)
		rnd.Read(b)
		try(fmt.Sprintf("%d random bytes", n), b, filepath.Base(dir))
		if n >= 64 {
			try(fmt.Sprintf("%d random bytes with an ELF header", n), append(append([]byte{}, good[:64]...), b...), filepath.Base(dir))
		}
	}
	plain, err := os.ReadFile(buildImage(t, "unix", "../../examples/hello"))
	if err != nil {
		t.Fatal(err)
	}
	try("a plain program", plain, "")
	self, err := os.ReadFile(needTool(t))
	if err != nil {
		t.Fatal(err)
	}
	try("the tool", self, "")
	try("a script", []byte("#!/bin/sh\necho hello\n"), "")

	otherTarget := "target xen"
	if on.build == build.Virtio {
		otherTarget = "below the image's base" // that of others
	}
	// Notes of other images: what differs is as long as what was there.
	withNet, err := os.ReadFile(on.image(t, netGuestPkg))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ name, says, old, new string }{
		{"other architecture", "arm64", `"arch":"amd64"`, `"arch":"arm64"`},
		{"other target", otherTarget, targetIs(on.build), targetIs("xenpvh"[:len(on.build)])},
		{"other contract", "version 9 of the guest interface", `"abi":2`, `"abi":9`},
		{"unknown device", "gpu", `"type":"net"`, `"type":"gpu"`},
		{"broken note", "note", targetIs(on.build), strings.Replace(targetIs(on.build), ":", "=", 1)},
		{"control characters", "note", `"arch":"amd64"`, `"arch":"\u001bc"`},
	} {
		if !bytes.Contains(withNet, []byte(v.old)) {
			t.Fatalf("the image's note has no %s", v.old)
		}
		try(v.name, bytes.Replace(withNet, []byte(v.old), []byte(v.new), 1), v.says)
	}
	try("newer format", newerFormat(t, good), "image format 77")
	try("code elsewhere", entryAt(good, 0x1000), "not in an executable segment")
	t.Run("a folder", func(t *testing.T) { refused(t, on.run(t, dir), "") })
	t.Run("not there", func(t *testing.T) { refused(t, p.start(t, on.line(dir+"/none.img")...).wait(), "no such image") })
	p.clean(t)
}

// targetIs is how an image's note names its target.
func targetIs(target string) string { return `"target":"` + target + `"` }

// end returns where the last segment of an image ends. What is behind it, QEMU 7.2
// alone reads: see endOfNotes in internal/image.
func end(t *testing.T, file []byte) (at int) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		at = max(at, int(p.Off+p.Filesz))
	}
	return at
}

// newerFormat patches the format in the note's fixed head: behind the ELF
// note's header of 12 bytes and the owner's name of 8.
func newerFormat(t *testing.T, file []byte) []byte {
	t.Helper()
	at := strings.LastIndex(string(file), "Tailor\x00\x00")
	if at < 0 {
		t.Fatal("no note")
	}
	out := append([]byte{}, file...)
	binary.LittleEndian.PutUint32(out[at+8:], 77)
	return out
}

// entryAt patches e_entry of the ELF header.
func entryAt(file []byte, addr uint64) []byte {
	out := append([]byte{}, file...)
	binary.LittleEndian.PutUint64(out[24:], addr)
	return out
}

// TestFlippedImages starts images with one bit wrong somewhere. Whatever they
// do, the tool ends, and not by a crash of its own.
func TestFlippedImages(t *testing.T) { each(t, testFlippedImages, ownSystem) }

func testFlippedImages(t *testing.T, on target) {
	p := newPlace(t)
	good, err := os.ReadFile(on.image(t, "../../examples/hello"))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	path := filepath.Join(t.TempDir(), "flipped.img")
	codes := map[int]int{}
	for i := range on.times(60) {
		bad := append([]byte{}, good...)
		limit := len(bad)
		if i%2 == 0 {
			limit = 1024 // the headers
		}
		at, bit := rnd.IntN(limit), byte(1)<<rnd.IntN(8)
		bad[at] ^= bit
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		m := p.start(t, on.line(path)...)
		// Some run for ever. The second signal is not the guest's to handle.
		stop := time.AfterFunc(2*time.Second, func() {
			m.cmd.Process.Signal(syscall.SIGTERM)
			time.Sleep(100 * time.Millisecond)
			m.cmd.Process.Signal(syscall.SIGTERM)
		})
		r := m.wait()
		stop.Stop()
		codes[r.code]++
		if strings.Contains(r.stderr, "internal/monitor") || strings.Contains(r.stderr, "cmd/tailor") || r.code == 125 && len(errorLines(r)) != 1 {
			t.Errorf("byte %#x ^ %#x: exit code %d\n%s", at, bit, r.code, clip(r.stderr))
		}
	}
	t.Logf("exit codes: %v", codes)
	p.clean(t)
}
