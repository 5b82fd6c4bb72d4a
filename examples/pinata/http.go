package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// This is all of HTTP that a page needs: one request a connection, GET or HEAD,
// no body (RFC 9112). A server that does more (net/http) would be a third of the
// code of this program, and each line of it a wall to climb.

const (
	webRequest = 8 << 10 // bytes of a request
	webBudget  = 64 << 10
	webTime    = 10 * time.Second // for a request, and for its answer
)

// Answers to requests that get no page.
var (
	badRequest  = page{status: "400 Bad Request"}
	notFound    = page{status: "404 Not Found"}
	wrongMethod = page{status: "405 Method Not Allowed"}
	crowdedOut  = page{status: "503 Service Unavailable"}
)

var errRequest = errors.New("not a request of HTTP/1")

// A request is what this program reads of one.
type request struct{ method, path string }

// A page is what a path has.
type page struct {
	status, kind string // "" is 200 OK, and text
	text         []byte
}

// readRequest reads a request up to its empty line. Of the head it keeps the
// first line.
func readRequest(from io.Reader) (request, error) {
	r := bufio.NewReader(io.LimitReader(from, webRequest))
	line, err := r.ReadString('\n')
	if err != nil {
		return request{}, cutOff(err)
	}
	req, err := parseRequest(strings.TrimRight(line, "\r\n"))
	if err != nil {
		return request{}, err
	}
	for {
		line, err := r.ReadSlice('\n') // which fails where it is longer than 4 KiB
		if err != nil {
			return request{}, cutOff(err)
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return req, nil
		}
	}
}

// cutOff returns errRequest for a head that is too long or not complete.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, bufio.ErrBufferFull) {
		return errRequest
	}
	return err
}

// parseRequest reads a request line (RFC 9112, section 3). The path has no query.
func parseRequest(line string) (request, error) {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if method == "" || len(version) != len("HTTP/1.1") || !strings.HasPrefix(version, "HTTP/1.") {
		return request{}, errRequest
	}
	target, _, _ = strings.Cut(target, "?")
	if scheme, rest, ok := strings.Cut(target, "://"); ok && (scheme == "http" || scheme == "https") {
		_, path, _ := strings.Cut(rest, "/")
		target = "/" + path
	}
	if !strings.HasPrefix(target, "/") {
		return request{}, errRequest
	}
	return request{method, target}, nil
}

// writePage answers with a page, or with its head.
func writePage(to io.Writer, p page, method string, now time.Time) error {
	if p.status != "" {
		p.text = []byte(p.status + "\n")
	}
	text := fmt.Appendf(head(p, now), "Content-Length: %d\r\n\r\n", len(p.text))
	if method != "HEAD" {
		text = append(text, p.text...)
	}
	_, err := to.Write(text)
	return err
}

// head returns the head of an answer without its length and the empty line.
func head(p page, now time.Time) []byte {
	status, kind := p.status, p.kind
	if status == "" {
		status = "200 OK"
	}
	if kind == "" {
		kind = "text/plain; charset=utf-8"
	}
	text := fmt.Appendf(nil, "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\nConnection: close\r\n",
		status, now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), kind)
	if p.status == wrongMethod.status {
		text = append(text, "Allow: GET, HEAD\r\n"...)
	}
	return append(text, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"+
		"Content-Security-Policy: default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:\r\n"...)
}

// serveWeb answers a visitor of the pages, over TLS if config is there.
func (s *server) serveWeb(v *visitor, config *tls.Config) {
	defer v.Close()
	v.SetDeadline(time.Now().Add(webTime))
	var conn net.Conn = v
	if config != nil {
		conn = tls.Server(v, config)
	}
	req, err := readRequest(conn)
	if err != nil && !errors.Is(err, errRequest) {
		v.part(err) // nobody who could read an answer
		return
	}
	v.SetDeadline(time.Now().Add(webTime))
	if s.answer(conn, v, req, err) == nil {
		hangUp(conn, v)
	}
}

// hangUp says that there is no more, and lets the peer close first, so that a
// reset for what it still sent does not overtake the answer.
func hangUp(conn net.Conn, v *visitor) {
	if c, ok := conn.(*tls.Conn); ok {
		c.CloseWrite()
	}
	if c, ok := v.Conn.(*net.TCPConn); ok {
		c.CloseWrite()
	}
	v.SetReadDeadline(time.Now().Add(farewell))
	io.Copy(io.Discard, v)
}
