// Package logs starts the client of syslog that boot parameters ask for, with the
// transports that are linked. Package boot/logs gives it what the program writes.
package logs

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/logs/ship"
	"github.com/tailor-os/tailor/logs/syslog"
	"github.com/tailor-os/tailor/params"
)

// Options are what a transport may be told.
type Options struct {
	Address string // of the collector, host:port
	Lines   bool   // messages end with lines instead of beginning with a length
	Roots   string // file with the certificates that sign the collector's, "" for the system's
	Cert    string // file with the program's own certificate, "" for none
	Key     string // file with its key, used with Cert
	Name    string // in the collector's certificate, "" for the host of Address
}

// An opener makes a transport; it fails for what can never work.
type opener func(Options) (ship.Transport, error)

var transports []struct {
	name string
	open opener
}

// Register makes a transport known, by the scheme that asks for it. It is for init
// functions.
func Register(name string, open func(Options) (ship.Transport, error)) {
	transports = append(transports, struct {
		name string
		open opener
	}{name, open})
}

// The secrets that are used if there are such files and no parameter names others.
const (
	secretRoots = "/run/secrets/syslog-roots.pem"
	secretCert  = "/run/secrets/syslog-cert.pem"
	secretKey   = "/run/secrets/syslog-key.pem"
)

// Start starts what boot parameters ask for, nil for nothing. say tells people, as
// [ship.Config] has it. It fails for what can never work: a transport that is not
// linked, a file that cannot be read.
func Start(p params.Words, say func(string)) (*ship.Shipper, error) {
	url := p.Get("syslog")
	if url == "" {
		return nil, nil
	}
	scheme, address, ok := params.ParseSyslog(url)
	if !ok {
		return nil, errors.New("syslog=" + url + " is malformed: want " + params.SyslogSyntax)
	}
	open, err := transport(scheme)
	if err != nil {
		return nil, errors.New("syslog=" + url + ": " + err.Error())
	}
	t, err := open(Options{
		Address: address,
		Lines:   p.Get("syslog-framing") == "lines",
		Name:    p.Get("syslog-name"),
		Roots:   fileOf(p.Get("syslog-roots"), secretRoots),
		Cert:    fileOf(p.Get("syslog-cert"), secretCert),
		Key:     cmp.Or(p.Get("syslog-key"), secretKey), // used with Cert only, and then missed if it is not there
	})
	if err != nil {
		return nil, errors.New("syslog=" + url + ": " + err.Error())
	}
	return ship.New(ship.Config{Transport: t, Source: source(p, scheme), Host: hostOn, Name: url, Say: say}), nil
}

// transport returns the one that is linked for a scheme.
func transport(scheme string) (opener, error) {
	for _, t := range transports {
		if t.name == scheme {
			return t.open, nil
		}
	}
	return nil, errors.New("syslog+" + scheme + " is not linked")
}

// source says what all messages have in common.
func source(p params.Words, scheme string) syslog.Source {
	s := syslog.Source{
		Facility: params.Facility(p.Get("syslog-facility")),
		App:      cmp.Or(p.Get("syslog-app"), filepath.Base(os.Args[0])), PID: os.Getpid(),
		Old: p.Get("syslog-format") == "rfc3164",
		Max: syslog.MaxStream,
	}
	if scheme == "udp" {
		s.Max = syslog.MaxDatagram
	}
	return s
}

// fileOf returns the file that a parameter names, else usual if it is there.
func fileOf(given, usual string) string {
	if given != "" {
		return given
	}
	if _, err := os.Stat(usual); err == nil {
		return usual
	}
	return ""
}

// noName is the host name of an image that has been given none.
const noName = "tailor"

// hostOn returns the host's name, or if it has none its address on a connection:
// RFC 5424 section 6.2.4.
func hostOn(conn net.Conn) string {
	if name, err := os.Hostname(); err == nil && name != noName && name != "" {
		return name
	}
	if host, _, err := net.SplitHostPort(conn.LocalAddr().String()); err == nil {
		return host
	}
	return ""
}

const (
	userTimeout = 18               // TCP_USER_TIMEOUT of linux/tcp.h
	lostTime    = 30 * time.Second // without an acknowledgement, the collector is gone
	unread      = 256 << 10        // bytes that may be lost with it
)

// DialTCP connects to a collector, so that not much is on its way and a loss is
// soon noticed.
func DialTCP(ctx context.Context, address string) (net.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			// Without it a loss is noticed later.
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, userTimeout, int(lostTime.Milliseconds()))
		})
	}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	conn.(*net.TCPConn).SetWriteBuffer(unread) // without it more is lost
	return conn, nil
}
