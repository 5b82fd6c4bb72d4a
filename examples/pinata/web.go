package main

import (
	"embed"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

//go:embed site
var site embed.FS

const (
	tick       = 500 * time.Millisecond // between two messages to a watcher
	maxWatch   = 48                     // who watch the picture at a time
	watchLimit = 10 * time.Minute       // then the browser comes again
)

// makePages makes the pages that stay as they are.
func (s *server) makePages() map[string]page {
	text := func(name string) []byte {
		b, err := site.ReadFile("site/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return b
	}
	// What is put into the page needs no escaping: numbers and PEM.
	index := strings.NewReplacer(
		"{{ca}}", string(s.pem), "{{server}}", port(s.server), "{{back}}", port(s.back), "{{client}}", port(s.client), "{{back-port}}", s.backPort,
	).Replace(string(text("index.html")))
	return map[string]page{
		"/":           {kind: "text/html; charset=utf-8", text: []byte(index)},
		"/style.css":  {kind: "text/css; charset=utf-8", text: text("style.css")},
		"/picture.js": {kind: "text/javascript; charset=utf-8", text: text("picture.js")},
		"/ca.pem":     {kind: "application/x-pem-file", text: s.pem},
	}
}

func port(l net.Listener) string {
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return l.Addr().String()
	}
	return port
}

// answer answers a request, or what was none.
func (s *server) answer(conn io.Writer, v *visitor, req request, err error) error {
	s.board.web.Add(1)
	p, ok := s.pages[req.path]
	switch {
	case err != nil:
		p = badRequest
	case req.method != "GET" && req.method != "HEAD":
		p = wrongMethod
	case req.path == "/status":
		text, _ := s.board.json(0, s.crowd, s.webCrowd)
		p = page{kind: "application/json", text: text}
	case req.path == "/events":
		return s.watch(conn, v, req.method)
	case !ok:
		p = notFound
	}
	return writePage(conn, p, req.method, time.Now())
}

// watch sends the figures, and what has happened since the last time, as
// server-sent events, until the visitor goes.
func (s *server) watch(conn io.Writer, v *visitor, method string) error {
	if s.watching.Add(1) > maxWatch || method == "HEAD" {
		s.watching.Add(-1)
		return writePage(conn, crowdedOut, method, time.Now())
	}
	defer s.watching.Add(-1)
	if _, err := conn.Write(append(head(page{kind: "text/event-stream"}, time.Now()), "\r\n"...)); err != nil {
		return err
	}
	_, from := s.board.json(0, s.crowd, s.webCrowd)
	var text []byte
	for end := time.Now().Add(watchLimit); time.Now().Before(end); time.Sleep(tick) {
		text, from = s.board.json(from, s.crowd, s.webCrowd)
		v.SetWriteDeadline(time.Now().Add(10 * tick))
		if _, err := fmt.Fprintf(conn, "data: %s\n\n", text); err != nil {
			return err
		}
	}
	return nil
}
