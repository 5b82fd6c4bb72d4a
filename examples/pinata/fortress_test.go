package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

func dial(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// A peer is somebody who wants the secret.
type peer struct {
	config             *tls.Config
	asClient, asServer string // reason for which it is refused, "" if it is not
}

// peers returns all kinds of them, by name.
func peers(t *testing.T, ca issuer) map[string]peer {
	with := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{Certificates: certs, InsecureSkipVerify: true, ClientAuth: tls.RequestClientCert}
	}
	changed := func(change func(*x509.Certificate)) *tls.Config { return with(ca.issue(t, change)) }
	alone, leaf := newIssuer(t), ca.issue(t, nil)
	old, silent, picky := with(leaf), with(leaf), with(leaf)
	old.MaxVersion = tls.VersionTLS12
	silent.ClientAuth = tls.NoClientCert
	picky.InsecureSkipVerify, picky.RootCAs, picky.ServerName = false, x509.NewCertPool(), "pinata"
	byLeaf := issuer{leaf.Leaf, leaf.PrivateKey.(*ecdsa.PrivateKey)}.issue(t, nil)
	byLeaf.Certificate = append(byLeaf.Certificate, leaf.Certificate[0])
	long := ca.issue(t, nil)
	for len(bytes.Join(long.Certificate, nil)) < peerBudget {
		long.Certificate = append(long.Certificate, alone.Raw)
	}
	return map[string]peer{
		"good":              {with(leaf), "", ""},
		"no certificate":    {with(), "no certificate", "refused us"},
		"another authority": {with(newIssuer(t).issue(t, nil)), "of another authority", "of another authority"},
		"self-signed":       {with(tls.Certificate{Certificate: [][]byte{alone.Raw}, PrivateKey: alone.key}), "of another authority", "of another authority"},
		"expired":           {changed(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "expired", "expired"},
		"not yet valid":     {changed(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "expired", "expired"},
		"for mail": {changed(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} }),
			"another bad certificate", "another bad certificate"},
		"signed by a peer": {with(byLeaf), "of another authority", "of another authority"},
		"TLS 1.2":          {old, "older than TLS 1.3", "older than TLS 1.3"},
		"asks for nothing": {silent, "", "did not ask for ours"},
		"trusts others":    {picky, "refused us", ""},
		"a long chain":     {with(long), "too many bytes", "too many bytes"},
	}
}

// visit does a peer's part on a connection, and returns what it was given.
func (p peer) visit(conn net.Conn, asServer bool) string {
	defer conn.Close()
	c := tls.Client(conn, p.config)
	if asServer {
		c = tls.Server(conn, p.config)
	}
	if c.Handshake() != nil {
		return ""
	}
	text, err := io.ReadAll(c)
	if err != nil {
		return ""
	}
	io.WriteString(c, "something of the peer's")
	return string(text)
}

// Each kind of peer, at each door: who is authenticated gets the secret, nobody
// else gets anything, and each is counted under its reason.
func TestPeers(t *testing.T) {
	ca := newIssuer(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := start(t, ca.settings(t), func(o *options) { o.backPort = ln.Addr().(*net.TCPAddr).Port })
	for name, p := range peers(t, ca) {
		for d, visit := range []func() string{
			serverDoor: func() string { return p.visit(dial(t, s.server), false) },
			backDoor: func() string {
				if _, err := io.ReadAll(dial(t, s.back)); err != nil {
					t.Error(err)
				}
				conn, err := ln.Accept()
				if err != nil {
					t.Fatal(err)
				}
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				return p.visit(conn, true)
			},
			clientDoor: func() string { return p.visit(dial(t, s.client), true) },
		} {
			why, want := p.asClient, ""
			if door(d) != serverDoor {
				why = p.asServer
			}
			if why == "" {
				want = "the secret"
			}
			if p.config.RootCAs != nil && door(d) != serverDoor {
				want = "the secret" // which it is given though it does not trust us: it is who it is
			}
			before := s.status(t)
			if got := visit(); got != want {
				t.Errorf("%s, at door %s: got %q", name, doorNames[d], got)
			}
			s.wait(t, name, door(d), before, why)
		}
	}
}

// wait waits until one more attempt at a door has ended, and checks how.
func (s *server) wait(t *testing.T, name string, d door, before status, why string) {
	t.Helper()
	for range 1000 {
		now := s.status(t)
		handed := now.Doors[doorNames[d]].Handed - before.Doors[doorNames[d]].Handed
		failed := now.Doors[doorNames[d]].Failed - before.Doors[doorNames[d]].Failed
		if handed+failed == 0 {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if why == "" && handed != 1 || why != "" && now.Failed[why]-before.Failed[why] != 1 {
			t.Errorf("%s, at door %s: handed %d, want reason %q, now %v", name, doorNames[d], handed, why, now.Failed)
		}
		return
	}
	t.Errorf("%s, at door %s: no end of it", name, doorNames[d])
}

// One door led to another: it authenticates to itself, and who carries the bytes has
// nothing of the secret.
func TestTalksToItself(t *testing.T) {
	s := start(t, settings{secret: "what nobody in between can read"}, nil)
	a, b := dial(t, s.client), dial(t, s.server)
	var seen bytes.Buffer
	var mu sync.Mutex
	pipe := func(to, from net.Conn) {
		io.Copy(to, io.TeeReader(from, lockedWriter{&mu, &seen}))
		to.(*net.TCPConn).CloseWrite()
	}
	var both sync.WaitGroup
	both.Go(func() { pipe(a, b) })
	both.Go(func() { pipe(b, a) })
	both.Wait()
	a.Close()
	b.Close()
	for range 1000 {
		st := s.status(t)
		if st.Doors["server"].Itself == 1 && st.Doors["client"].Itself == 1 {
			if len(st.Events) != 2 || st.Events[0][1] != int(toItself) {
				t.Errorf("the events are %v", st.Events)
			}
			if seen.Len() < 1000 || bytes.Contains(seen.Bytes(), s.secret) {
				t.Errorf("%d bytes went through, the secret among them: %v", seen.Len(), bytes.Contains(seen.Bytes(), s.secret))
			}
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("it did not talk to itself: %+v", s.status(t))
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Whoever sends a part of a handshake, or one with bytes changed, or noise, gets
// nothing; and a good peer is served after all that.
func TestDamagedHandshakes(t *testing.T) {
	ca := newIssuer(t)
	s := start(t, ca.settings(t), func(o *options) { o.handshake = 300 * time.Millisecond })
	hello := record(t)
	random := rand.New(rand.NewPCG(1, 2))
	var all sync.WaitGroup
	const n = 300
	for i := range n {
		to, text := s.server, damaged(hello, random, i)
		if i%3 == 0 {
			to = s.client
		}
		conn := dial(t, to)
		all.Go(func() {
			defer conn.Close()
			conn.Write(text)
			if i%2 == 0 {
				conn.(*net.TCPConn).CloseWrite()
			}
			if got, _ := io.ReadAll(conn); bytes.Contains(got, s.secret) {
				t.Errorf("attempt %d (%x) has the secret", i, text)
			}
		})
	}
	all.Wait()
	if got := peers(t, ca)["good"].visit(dial(t, s.server), false); got != "the secret" {
		t.Errorf("a good peer after that got %q", got)
	}
	for range 1000 {
		st := s.status(t)
		if st.Doors["server"].Handed == 1 && st.Doors["server"].Failed+st.Doors["client"].Failed == n {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the figures are %+v", s.status(t))
}

// record returns the first message of a TLS client.
func record(t testing.TB) []byte {
	t.Helper()
	a, b := net.Pipe()
	defer b.Close()
	go func() {
		tls.Client(a, &tls.Config{InsecureSkipVerify: true}).Handshake()
		a.Close()
	}()
	buf := make([]byte, 4096)
	n, err := b.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func damaged(hello []byte, r *rand.Rand, i int) []byte {
	text := bytes.Clone(hello)
	switch i % 4 {
	case 0:
		return text[:r.IntN(len(text))]
	case 1:
		for range 1 + r.IntN(8) {
			text[r.IntN(len(text))] = byte(r.Uint32())
		}
	case 2:
		text = make([]byte, r.IntN(2000))
		for j := range text {
			text[j] = byte(r.Uint32())
		}
	case 3: // a record of any type and length, around noise
		text = append([]byte{byte(20 + r.IntN(5)), 3, byte(r.IntN(4)), byte(r.IntN(64)), byte(r.Uint32())}, text[r.IntN(len(text)):]...)
	}
	return text
}

// A slow peer is let go when its time is over, and one that sends too much too.
func TestBounds(t *testing.T) {
	s := start(t, settings{}, func(o *options) { o.handshake = 200 * time.Millisecond })
	begin := time.Now()
	slow := dial(t, s.server)
	for _, b := range record(t) {
		if _, err := slow.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := io.ReadAll(slow); errors.Is(err, net.ErrClosed) || time.Since(begin) > 5*time.Second {
		t.Errorf("a slow one has been there for %v: %v", time.Since(begin), err)
	}
	a, b := net.Pipe()
	defer b.Close()
	v := &visitor{Conn: a, left: 100}
	go func() { b.Write(make([]byte, 1000)); b.Close() }()
	if text, err := io.ReadAll(v); len(text) != 100 || !errors.Is(err, errTooMuch) {
		t.Errorf("read %d bytes, %v", len(text), err)
	}
	for range 1000 {
		if s.status(t).Failed["too slow"] == 1 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("the figures are %+v", s.status(t))
}
