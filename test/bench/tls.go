package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A tlsKey is what a server's certificate is for.
type tlsKey struct {
	name string
	make func() (crypto.Signer, error)
}

var tlsKeys = []tlsKey{
	{"ECDSA P-256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }},
	{"RSA-2048", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }},
}

// tlsSuites are those of TLS 1.3, and how fast each is to be, against OpenSSL.
var tlsSuites = []struct {
	name           string
	process, guest goal
}{
	{"TLS_AES_128_GCM_SHA256", atLeastRatio(1), atLeastRatio(0.85)},
	{"TLS_AES_256_GCM_SHA384", atLeastRatio(1), atLeastRatio(0.85)},
	{"TLS_CHACHA20_POLY1305_SHA256", goal{}, goal{}},
}

// A tlsServer is one of those that are compared.
type tlsServer struct {
	name  string
	guest bool
	side  side
}

var againstOpenSSL = [2]string{"Go", "openssl s_server"}

// measureTLSBulk: how fast a TLS server of one processor sends, against openssl s_server
// with the same certificate, on the same one, with the same client.
func (b *bench) measureTLSBulk(ctx context.Context) error {
	var jobs []tlsJob
	for _, s := range tlsSuites {
		jobs = append(jobs, tlsJob{
			name: "TLS/" + s.name, what: s.name + ", one connection, records of 16 KiB", args: []string{"bulk", s.name},
			unit: "MB/s", cpu: "MB", scale: 1e3, process: s.process, guest: s.guest,
		})
	}
	return b.measureTLS(ctx, tlsKeys[0], jobs)
}

// measureTLSHandshakes: how many short connections one takes.
func (b *bench) measureTLSHandshakes(ctx context.Context) error {
	for _, key := range tlsKeys {
		var jobs []tlsJob
		for _, kind := range []string{"full", "resumed"} {
			jobs = append(jobs, tlsJob{
				name: "TLS/" + strings.ReplaceAll(key.name, " ", "") + "/" + kind, what: kind + " handshakes, " + key.name, args: []string{kind},
				unit: "/s", scale: 1e9, process: atLeastRatio(1), guest: atLeastRatio(1), goalCPU: true,
			})
		}
		if err := b.measureTLS(ctx, key, jobs); err != nil {
			return err
		}
	}
	return nil
}

// measureTLS measures with one certificate.
func (b *bench) measureTLS(ctx context.Context, key tlsKey, jobs []tlsJob) (err error) {
	if _, err := exec.LookPath("openssl"); err != nil {
		return fmt.Errorf("%w; install it (Debian: openssl)", err)
	}
	if b.tlspeer, err = b.both(ctx, "github.com/tailor-os/tailor/test/bench/testdata/tlspeer", "--volumes"); err != nil {
		return err
	}
	www, err := tlsFiles()
	if err != nil {
		return err
	}
	defer os.RemoveAll(www)
	file, err := b.certificate(key)
	if err != nil {
		return err
	}
	for i := range jobs {
		if err := b.tlsJob(ctx, b.tlsServers(www, file), &jobs[i]); err != nil {
			return err
		}
	}
	return nil
}

// tlsFiles makes the folder that s_server serves. It is in memory, where a hole is
// read without taking any.
func tlsFiles() (dir string, err error) {
	if dir, err = os.MkdirTemp("/dev/shm", "tailor-bench-"); err != nil {
		return "", err
	}
	bulk := filepath.Join(dir, "bulk")
	err = errors.Join(
		os.WriteFile(filepath.Join(dir, "small"), []byte("small\n"), 0o666),
		os.WriteFile(bulk, nil, 0o666),
		os.Truncate(bulk, 1<<40),
	)
	if err != nil {
		os.RemoveAll(dir)
	}
	return dir, err
}

// certificate makes a self-signed one, and returns the file that has it and its key.
func (b *bench) certificate(k tlsKey) (string, error) {
	key, err := k.make()
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"server"}, NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	file := filepath.Join(b.dir, strings.ReplaceAll(k.name, " ", "-")+".pem")
	return file, os.WriteFile(file, text, 0o600)
}

// A tlsJob is what is measured of all servers in turns.
type tlsJob struct {
	name, what     string
	args           []string // of the client
	unit, cpu      string   // of what is done in a second, and in a second of the server's
	scale          float64  // from what the client counts in a nanosecond to unit
	process, guest goal
	// goalCPU is for what costs the client more than the server: the goal is for
	// the server's processor time.
	goalCPU bool
}

// tlsServers are those that are compared, OpenSSL's last.
func (b *bench) tlsServers(www, file string) []tlsServer {
	onVeth := func(port string, args ...string) side {
		return side{b.net.client, serverPlace(b.net.server), args, vethPeer + port, ""}
	}
	list := []tlsServer{{"plain process", false, onVeth(":8443", b.tlspeer.plain, "serve", ":8443", file)}}
	for _, target := range []string{"hvt", "spt"} {
		args := []string{b.tailor, "run", "-t", target, "--secret", "pem=" + file, "--net", "tap:" + b.net.tap, "--ip", tapGuest + "/24",
			b.tlspeer.image, "serve", ":8443", "/run/secrets/pem"}
		list = append(list, tlsServer{target, true, side{b.net.client, serverPlace(b.net.client), args, tapGuest + ":8443", ""}})
	}
	return append(list, tlsServer{"openssl", false, onVeth(":9443", "env", "-C", www,
		"openssl", "s_server", "-quiet", "-WWW", "-tls1_3", "-num_tickets", "1", "-accept", "9443", "-cert", file, "-key", file)})
}

// tlsJob measures all servers in turns.
func (b *bench) tlsJob(ctx context.Context, servers []tlsServer, j *tlsJob) error {
	last := len(servers) - 1
	rates, cpus := make([]*measure, last), make([]*measure, last)
	for i, s := range servers[:last] {
		rate := measure{name: j.name + "/" + s.name, what: j.what + ": " + s.name, unit: j.unit, heads: againstOpenSSL}
		cpu := measure{name: rate.name + "/cpu", what: rate.what + ", in a second of the server's processor time", unit: j.cpu, heads: againstOpenSSL}
		g := &rate.goal
		if j.goalCPU {
			g = &cpu.goal
		}
		if *g = j.process; s.guest {
			*g = j.guest
		}
		rates[i], cpus[i] = b.add(rate), b.add(cpu)
	}
	for range b.informal() {
		for i, s := range servers {
			rate, cpu, err := b.tlsOnce(ctx, s.side, j)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", j.what, s.name, err)
			}
			if i < last {
				rates[i].vm, cpus[i].vm = append(rates[i].vm, rate), append(cpus[i].vm, cpu)
				continue
			}
			for i := range last {
				rates[i].plain, cpus[i].plain = append(rates[i].plain, rate), append(cpus[i].plain, cpu)
			}
		}
	}
	return nil
}

// tlsOnce starts a server and measures it once.
func (b *bench) tlsOnce(ctx context.Context, s side, j *tlsJob) (rate, perCPU float64, err error) {
	procs, err := b.serve(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	p := procs[0]
	defer p.stop()
	before, err := p.cpuTime()
	if err != nil {
		return 0, 0, err
	}
	args := append([]string{b.tlspeer.plain, j.args[0], s.addr}, j.args[1:]...)
	out, err := output(ctx, clientPlace(s.client), append(args, strconv.FormatFloat(b.load.Seconds(), 'f', -1, 64))...)
	if err != nil {
		return 0, 0, err
	}
	after, err := p.cpuTime()
	if err != nil {
		return 0, 0, err
	}
	var n, ns float64
	var what string
	if _, err := fmt.Sscanf(strings.TrimSpace(out), "%f %s in %f ns", &n, &what, &ns); err != nil {
		return 0, 0, fmt.Errorf("tlspeer printed %q: %w", out, err)
	}
	return n / ns * j.scale, n / float64(after-before) * j.scale, nil
}
