// Package rsyslogtest runs rsyslog for tests, with a configuration and a folder of
// its own.
package rsyslogtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

// A Collector is a running rsyslog. Its methods are for the test's goroutine.
type Collector struct {
	URL  string // as syslog= has it
	file string
	conf string
	port int
	cmd  *exec.Cmd
	log  bytes.Buffer
	cfg  Config
	t    testing.TB
}

// A Config says what a collector listens to.
type Config struct {
	Transport string // "udp", "tcp" or "tls"
	Certs     *Certs // for tls: programs must show a certificate, too
	Address   string // to listen at; "" for 127.0.0.1
	// Do runs what makes sockets, perhaps in a namespace; nil for here.
	Do func(func() error) error
}

// fields are what is written of each message.
const fields = `%pri%|%hostname%|%app-name%|%procid%|%structured-data%|%msg%\n`

// Start runs a collector until the test ends. Without rsyslog it skips the test.
func Start(t testing.TB, cfg Config) *Collector {
	t.Helper()
	xtest.NeedCommand(t, "rsyslogd", "rsyslog")
	if cfg.Transport == "tls" {
		xtest.NeedFile(t, "rsyslog-gnutls", "/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so", "rsyslog-gnutls")
	}
	if cfg.Do == nil {
		cfg.Do = func(f func() error) error { return f() }
	}
	if cfg.Address == "" {
		cfg.Address = "127.0.0.1"
	}
	dir := t.TempDir()
	c := &Collector{t: t, cfg: cfg, file: filepath.Join(dir, "messages"), conf: filepath.Join(dir, "rsyslog.conf")}
	c.port = c.freePort()
	c.URL = fmt.Sprintf("%s://%s:%d", cfg.Transport, cfg.Address, c.port)
	if err := os.WriteFile(c.conf, []byte(cfg.text(dir, c.file, c.port)), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Kill()
		if t.Failed() {
			t.Log("rsyslog said:\n" + c.log.String())
		}
	})
	c.Run()
	return c
}

// text is the configuration.
func (cfg *Config) text(dir, file string, port int) string {
	s := fmt.Sprintf("global(workDirectory=%q maxMessageSize=\"8k\" net.enableDNS=\"off\"", dir)
	input := fmt.Sprintf("module(load=\"imtcp\")\ninput(type=\"imtcp\" address=%q port=\"%d\")\n", cfg.Address, port)
	switch cfg.Transport {
	case "udp":
		input = fmt.Sprintf("module(load=\"imudp\")\ninput(type=\"imudp\" address=%q port=\"%d\" rcvbufSize=\"8m\")\n", cfg.Address, port)
	case "tls":
		s += fmt.Sprintf(" defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=%q defaultNetstreamDriverCertFile=%q defaultNetstreamDriverKeyFile=%q",
			cfg.Certs.Roots, cfg.Certs.Cert, cfg.Certs.Key)
		input = strings.Replace(input, "\"imtcp\")\n", "\"imtcp\" streamDriver.mode=\"1\" streamDriver.authMode=\"x509/name\" permittedPeer=[\"web.test\"])\n", 1)
	}
	return s + ")\n" + input + fmt.Sprintf("template(name=\"fields\" type=\"string\" string=%s)\n", "\""+fields+"\"") +
		fmt.Sprintf("if not ($inputname == \"rsyslogd\") then action(type=\"omfile\" file=%q template=\"fields\" asyncWriting=\"off\" flushOnTXEnd=\"on\")\n", file)
}

func (c *Collector) freePort() (port int) {
	c.t.Helper()
	err := c.cfg.Do(func() error {
		l, err := net.Listen("tcp", net.JoinHostPort(c.cfg.Address, "0"))
		if err != nil {
			return err
		}
		port = l.Addr().(*net.TCPAddr).Port
		return l.Close()
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return port
}

// Run starts it, perhaps again, and returns when it listens.
func (c *Collector) Run() {
	c.t.Helper()
	c.cmd = exec.Command(xtest.NeedCommand(c.t, "rsyslogd", "rsyslog"), "-n", "-f", c.conf, "-i", "NONE")
	c.cmd.Stdout, c.cmd.Stderr = &c.log, &c.log
	if err := c.cfg.Do(c.cmd.Start); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !c.listens(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal("rsyslog does not listen")
		}
	}
}

// listens reports whether it does. UDP's ports are to be seen in the kernel's list
// only.
func (c *Collector) listens() bool {
	err := c.cfg.Do(func() error {
		if c.cfg.Transport == "udp" {
			list, err := os.ReadFile("/proc/thread-self/net/udp")
			if err == nil && !strings.Contains(string(list), fmt.Sprintf(":%04X 0", c.port)) {
				err = os.ErrNotExist
			}
			return err
		}
		conn, err := net.DialTimeout("tcp", c.URL[len("tcp://"):], time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
	return err == nil
}

// Kill ends it at once.
func (c *Collector) Kill() {
	if c.cmd != nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		c.cmd = nil
	}
}

// Lines returns what it has written: PRI, host, program, process, structured data
// and text of each message, with "|" between.
func (c *Collector) Lines() []string {
	c.t.Helper()
	text, err := os.ReadFile(c.file)
	if err != nil && !os.IsNotExist(err) {
		c.t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	return lines[:len(lines)-1]
}

// Await returns the lines as soon as ok is content with them, or after a limit
// those that there are.
func (c *Collector) Await(limit time.Duration, ok func(lines []string) bool) []string {
	c.t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if lines := c.Lines(); ok(lines) || time.Now().After(deadline) {
			return lines
		}
	}
}

// AwaitCount is Await for a number of lines.
func (c *Collector) AwaitCount(limit time.Duration, n int) []string {
	c.t.Helper()
	return c.Await(limit, func(lines []string) bool { return len(lines) >= n })
}
