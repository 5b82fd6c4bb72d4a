package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	_ "unsafe" // for go:linkname
)

// suites are what a client of crypto/tls offers for TLS 1.3, which no configuration
// changes. The variables are kept for such use: go.dev/issue/67401.
//
//go:linkname suites crypto/tls.defaultCipherSuitesTLS13
var suites []uint16

var suitesByName = map[string]uint16{
	"TLS_AES_128_GCM_SHA256":       tls.TLS_AES_128_GCM_SHA256,
	"TLS_AES_256_GCM_SHA384":       tls.TLS_AES_256_GCM_SHA384,
	"TLS_CHACHA20_POLY1305_SHA256": tls.TLS_CHACHA20_POLY1305_SHA256,
}

// config is a client's. The key exchange is one that OpenSSL 3.0 has, too.
func config(cache tls.ClientSessionCache) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // whose certificate it is does not matter here; that it signed does
		MinVersion:         tls.VersionTLS13,
		CurvePreferences:   []tls.CurveID{tls.X25519},
		ClientSessionCache: cache,
		ServerName:         "server",
	}
}

const timeout = 20 * time.Second

// ask connects and sends a request.
func ask(addr, path string, c *tls.Config) (*tls.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(timeout))
	t := tls.Client(conn, c)
	if _, err := io.WriteString(t, "GET "+path+" HTTP/1.0\r\n\r\n"); err != nil {
		conn.Close()
		return nil, err
	}
	return t, nil
}

// bulk takes what the server sends, after a first megabyte as it is: to decrypt it
// would be as much work as the server's.
func bulk(addr, suite string, d time.Duration) error {
	id, ok := suitesByName[suite]
	if !ok {
		return fmt.Errorf("unknown suite %q", suite)
	}
	suites = []uint16{id}
	t, err := ask(addr, bulkPath, config(nil))
	if err != nil {
		return err
	}
	defer t.NetConn().Close()
	if err := check(t); err != nil {
		return err
	}
	if got := t.ConnectionState().CipherSuite; got != id {
		return fmt.Errorf("negotiated %s", tls.CipherSuiteName(got))
	}
	return discard(t.NetConn(), d)
}

// check reads the answer's head and a megabyte of zeros.
func check(t *tls.Conn) error {
	p := make([]byte, 1<<20)
	n, err := io.ReadFull(t, p)
	if err != nil {
		return err
	}
	head, body, ok := strings.Cut(string(p[:n]), "\r\n\r\n")
	if !ok || !strings.Contains(head, " 200 ") || strings.Trim(body, "\x00") != "" {
		return fmt.Errorf("the server answered %.100q", p)
	}
	return nil
}

// discard prints how many bytes of ciphertext come in d, from a first full record on.
func discard(conn net.Conn, d time.Duration) error {
	p := make([]byte, 256<<10)
	begin := time.Now()
	conn.SetReadDeadline(begin.Add(d))
	var total int64
	for {
		n, err := conn.Read(p)
		total += int64(n)
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			break
		}
		if err != nil {
			return err
		}
	}
	took := time.Since(begin)
	if err := fullRecords(conn, p); err != nil {
		return err
	}
	fmt.Printf("%d bytes in %d ns\n", total, took)
	return nil
}

// fullRecords makes sure that records are of 16 KiB: the header of one with its type
// and version is somewhere in 64 KiB, and so is the one behind it.
func fullRecords(conn net.Conn, p []byte) error {
	const (
		record = 5 + piece + 1 + 16 // header, contents, their type, tag: RFC 8446 section 5.2
		header = 0x170303
	)
	p = p[:4*record]
	conn.SetReadDeadline(time.Now().Add(timeout))
	if _, err := io.ReadFull(conn, p); err != nil {
		return err
	}
	at := func(i int) bool {
		return binary.BigEndian.Uint32(p[i:])>>8 == header && int(binary.BigEndian.Uint16(p[i+3:])) == record-5
	}
	for i := range record {
		if at(i) && at(i+record) && at(i+2*record) {
			return nil
		}
	}
	return errors.New("the server's records are not of 16 KiB")
}

// parallel is how many connections wait for the server at once, so that it always
// has one to serve.
const parallel = 4

// handshakes connects as often as it can, and prints how often that was. With a cache
// each connection but the first is to be resumed.
func handshakes(addr string, cache tls.ClientSessionCache, d time.Duration) error {
	var n atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, parallel)
	if cache != nil {
		if err := connect(addr, cache, false); err != nil {
			return err
		}
	}
	begin := time.Now()
	for g := range parallel {
		all.Go(func() {
			for errs[g] == nil && time.Since(begin) < d {
				errs[g] = connect(addr, cache, cache != nil)
				n.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Printf("%d handshakes in %d ns\n", n.Load(), time.Since(begin))
	return errors.Join(errs...)
}

// connect does what a short-lived connection does: a handshake, a request, an answer,
// the end.
func connect(addr string, cache tls.ClientSessionCache, resumed bool) error {
	t, err := ask(addr, smallPath, config(cache))
	if err != nil {
		return err
	}
	defer t.NetConn().Close()
	p, err := io.ReadAll(t)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if !strings.Contains(string(p), " 200 ") || !strings.HasSuffix(string(p), "small\n") {
		return fmt.Errorf("the server answered %.100q", p)
	}
	if got := t.ConnectionState().DidResume; got != resumed {
		return fmt.Errorf("resumed: %v", got)
	}
	return nil
}
