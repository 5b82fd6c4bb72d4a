// Package dnstest is name servers for tests, which answer as the test says.
package dnstest

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A Fill fills the answer to a question in.
type Fill func(q dnsmessage.Question, m *dnsmessage.Message)

// Reply returns the answer to a query: a recursive server's, without records but for
// what fill adds. It is nil for what is no query.
func Reply(query []byte, fill Fill) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionDesired: true, RecursionAvailable: true}
	m.Answers, m.Authorities, m.Additionals = nil, nil, nil
	fill(m.Questions[0], &m)
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// Add adds a record of the name that is asked for to m's answers.
func Add(m *dnsmessage.Message, ttl uint32, body dnsmessage.ResourceBody) {
	m.Answers = append(m.Answers, dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Class: dnsmessage.ClassINET, TTL: ttl}, Body: body})
}

// AddSOA says for how long there is no answer.
func AddSOA(m *dnsmessage.Message, ttl, minimum uint32) {
	name := dnsmessage.MustNewName("test.")
	m.Authorities = append(m.Authorities, dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: ttl}, Body: &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: minimum}})
}

// Address answers questions for IPv4 addresses with one, and says that there are none
// of IPv6.
func Address(a [4]byte, ttl uint32) Fill {
	return func(q dnsmessage.Question, m *dnsmessage.Message) {
		if q.Type == dnsmessage.TypeA {
			Add(m, ttl, &dnsmessage.AResource{A: a})
		} else {
			AddSOA(m, ttl, ttl)
		}
	}
}

// A Server answers over UDP and over TCP, or over a listener of the test's.
type Server struct {
	Address string // HOST:PORT

	// Packet and Stream answer a query; what they return is sent, nil for nothing. They
	// may be called by several goroutines at once.
	Packet, Stream func(query []byte) []byte

	mu      sync.Mutex
	ends    []io.Closer
	queries int
}

// Queries returns how many there were.
func (s *Server) Queries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queries
}

func (s *Server) count() {
	s.mu.Lock()
	s.queries++
	s.mu.Unlock()
}

// Serve starts a server on 127.0.0.1.
func Serve(t testing.TB, packet, stream func(query []byte) []byte) *Server {
	t.Helper()
	s := &Server{Packet: packet, Stream: stream}
	u, l := listen(t)
	t.Cleanup(func() { u.Close() })
	s.Address = u.LocalAddr().String()
	s.On(t, l)
	go s.packets(u)
	return s
}

// listen finds a port that is free for both UDP and TCP.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	var last error
	for range 20 {
		u, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("tcp", u.LocalAddr().String())
		if err == nil {
			return u, l
		}
		u.Close()
		last = err
	}
	t.Fatal(last)
	return nil, nil
}

func (s *Server) packets(u net.PacketConn) {
	for b := make([]byte, 4096); ; {
		n, from, err := u.ReadFrom(b)
		if err != nil {
			return
		}
		s.count()
		query := append([]byte(nil), b[:n]...)
		go func() {
			if a := s.Packet(query); a != nil {
				u.WriteTo(a, from)
			}
		}()
	}
}

// On serves on l as well, until the test or [Server.Stop] ends it.
func (s *Server) On(t testing.TB, l net.Listener) {
	s.keep(l)
	t.Cleanup(s.Stop)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.keep(c)
			go s.stream(c)
		}
	}()
}

func (s *Server) keep(c io.Closer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, c)
}

// Stop ends listeners and connections.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ends {
		c.Close()
	}
	s.ends = nil
}

// HangUp ends connections, and listens on.
func (s *Server) HangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ends {
		if _, ok := c.(net.Conn); ok {
			c.Close()
		}
	}
}

// stream answers as soon as there is an answer, in whatever order.
func (s *Server) stream(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	var writing sync.Mutex
	var length [2]byte
	for {
		if _, err := io.ReadFull(c, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(c, query); err != nil {
			return
		}
		s.count()
		go func() {
			if a := s.Stream(query); a != nil {
				writing.Lock()
				defer writing.Unlock()
				c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			}
		}()
	}
}
