package dot

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/internal/dnstest"
	"github.com/tailor-os/tailor/internal/rsyslogtest"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/names"
)

// certName is that of the certificate that servers of these tests have.
const certName = "logs.test"

// A world is servers with a certificate, and what a client says.
type world struct {
	t     *testing.T
	certs *rsyslogtest.Certs
	pin   Pin
	roots *x509.CertPool

	mu   sync.Mutex
	said []string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, certs: rsyslogtest.NewCerts(t), roots: x509.NewCertPool()}
	w.roots.AppendCertsFromPEM(read(t, w.certs.Roots))
	block, _ := pem.Decode(read(t, w.certs.Cert))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	w.pin = PinOf(cert)
	return w
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve starts a server at an address, "127.0.0.1:0" for a new one.
func (w *world) serve(at string, answer func(query []byte) []byte) *dnstest.Server {
	w.t.Helper()
	pair, err := tls.LoadX509KeyPair(w.certs.Cert, w.certs.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		w.t.Fatal(err)
	}
	s := &dnstest.Server{Address: l.Addr().String(), Stream: answer}
	s.On(w.t, tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}}))
	return s
}

func (w *world) client(cfg Config, servers ...*dnstest.Server) *Client {
	for _, s := range servers {
		cfg.Servers = append(cfg.Servers, Server{Address: s.Address, Name: certName})
	}
	if cfg.Roots == nil {
		cfg.Roots = w.roots
	}
	cfg.Say = func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.said = append(w.said, line)
	}
	return New(cfg)
}

func (w *world) lines() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.said...)
}

func good(query []byte) []byte {
	return dnstest.Reply(query, dnstest.Address([4]byte{192, 0, 2, 80}, 60))
}

var testQuestion = dnsmessage.Question{Name: dnsmessage.MustNewName("www.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}

func (c *Client) ask(t *testing.T, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	_, err := c.Exchange(ctx, "udp", "192.0.2.1:53", testQuestion)
	return err
}

// count reads one of the client's counters.
func (c *Client) count(n *uint64) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *n
}

const patience = 10 * time.Second

// TestVerify: who is asked is who was meant, by name, address or key.
func TestVerify(t *testing.T) {
	w := newWorld(t)
	asked := make(chan int, 100) // bytes
	s := w.serve("127.0.0.1:0", func(query []byte) []byte { asked <- len(query); return good(query) })
	none, wrong := x509.NewCertPool(), Pin{1}
	for what, c := range map[string]struct {
		name string
		cfg  Config
		want string // in the error; "" for an answer
	}{
		"name":                      {certName, Config{}, ""},
		"address":                   {"", Config{}, ""},
		"another name":              {"dns.test", Config{}, "not dns.test"},
		"another authority":         {certName, Config{Roots: none}, "unknown authority"},
		"pin":                       {"", Config{Roots: none, Pins: []Pin{wrong, w.pin}}, ""},
		"wrong pin":                 {"", Config{Pins: []Pin{wrong}}, "has the pin " + w.pin.String()},
		"name and pin":              {certName, Config{Pins: []Pin{w.pin}}, ""},
		"name, wrong pin":           {certName, Config{Pins: []Pin{wrong}}, "none of those given by dns-pin"},
		"another name, pin":         {"dns.test", Config{Pins: []Pin{w.pin}}, "not dns.test"},
		"another authority and pin": {certName, Config{Roots: none, Pins: []Pin{w.pin}}, "unknown authority"},
	} {
		w.said = nil
		c.cfg.Servers = []Server{{Address: s.Address, Name: c.name}}
		client := w.client(c.cfg)
		for range 3 {
			err := client.ask(t, patience)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), s.Address)) {
				t.Errorf("%s: %v, want %q", what, err, c.want)
			}
		}
		said := w.lines()
		if c.want == "" {
			for range 3 {
				if n := <-asked; n%128 != 0 {
					t.Errorf("%s: a query of %d bytes", what, n)
				}
			}
		} else if len(asked) > 0 || len(said) != 1 || !strings.Contains(said[0], c.want) || strings.Contains(said[0], "\n") {
			t.Errorf("%s: %d queries, said %q", what, len(asked), said)
		}
	}
}

// TestPipeline: questions share a connection and do not wait for each other's answers.
func TestPipeline(t *testing.T) {
	const many = 100
	w := newWorld(t)
	let := make(chan bool)
	s := w.serve("127.0.0.1:0", func(query []byte) []byte {
		var m dnsmessage.Message
		if m.Unpack(query) == nil && m.Questions[0].Type < 1000+many/2 {
			<-let // until the others were answered
		}
		return dnstest.Reply(query, func(q dnsmessage.Question, m *dnsmessage.Message) {
			dnstest.Add(m, uint32(q.Type), &dnsmessage.UnknownResource{Type: q.Type, Data: []byte("x")})
		})
	})
	client := w.client(Config{}, s)
	var slow, fast sync.WaitGroup
	for i := range many {
		group := &slow
		if i >= many/2 {
			group = &fast
		}
		group.Go(func() {
			q := testQuestion
			q.Type = dnsmessage.Type(1000 + i)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if _, err := client.Exchange(ctx, "", "", q); err != nil {
				t.Error(err)
			}
		})
	}
	fast.Wait()
	close(let)
	slow.Wait()
	if client.count(&client.dialed) != 1 || s.Queries() != many {
		t.Errorf("%d connections, %d queries", client.count(&client.dialed), s.Queries())
	}
	client.live.mu.Lock()
	defer client.live.mu.Unlock()
	if n := len(client.live.open); n != 0 {
		t.Errorf("%d questions are open", n)
	}
}

// TestGone: a connection that the server ends is made again when it is needed, also for
// the question that was on its way; a server that is away is an error at once, said
// once, and so is that it is back.
func TestGone(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	hangUp := false
	var s *dnstest.Server
	answer := func(query []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if hangUp {
			hangUp = false
			s.HangUp()
			return nil
		}
		return good(query)
	}
	s = w.serve("127.0.0.1:0", answer)
	client := w.client(Config{}, s)
	if err := client.ask(t, patience); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	hangUp = true
	mu.Unlock()
	if err := client.ask(t, patience); err != nil || client.count(&client.dialed) != 2 {
		t.Fatalf("%v, %d connections", err, client.count(&client.dialed))
	}
	mu.Lock()
	at := s.Address
	s.Stop()
	mu.Unlock()
	for range 50 {
		begin := time.Now()
		if err := client.ask(t, patience); err == nil || !strings.Contains(err.Error(), "refused") || time.Since(begin) > 5*time.Second {
			t.Fatalf("%v after %v", err, time.Since(begin))
		}
	}
	if client.count(&client.failed) > 3 {
		t.Errorf("%d attempts for 50 questions", client.count(&client.failed))
	}
	w.serve(at, good)
	for end := time.Now().Add(patience); client.ask(t, patience) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not asked again")
		}
	}
	said := w.lines()
	if len(said) != 2 || !strings.Contains(said[0], "cannot ask: dns over tls: "+at+"#"+certName) || said[1] != "asking "+at+"#"+certName+" over TLS again" {
		t.Errorf("%q", said)
	}
	var f metrics.Writer
	client.WriteFigures(&f)
	if text := string(f.Bytes()); !strings.Contains(text, "tailor_dns_tls_connected 1\n") || !strings.Contains(text, `tailor_dns_tls_connections_total{result="ok"} 3`+"\n") {
		t.Errorf("%s", text)
	}
}

// TestOthers: a server that does not answer, or is not there, makes way for the next.
func TestOthers(t *testing.T) {
	w := newWorld(t)
	silent := w.serve("127.0.0.1:0", func([]byte) []byte { return nil })
	fine := w.serve("127.0.0.1:0", good)
	client := w.client(Config{}, silent, fine)
	if err := client.ask(t, time.Second); !errors.Is(err, errSilent) || !strings.Contains(err.Error(), silent.Address) {
		t.Errorf("%v", err)
	}
	if err := client.ask(t, patience); err != nil {
		t.Error(err)
	}
	gone := w.serve("127.0.0.1:0", good)
	gone.Stop()
	client = w.client(Config{}, gone, fine)
	if err := client.ask(t, patience); err != nil || client.count(&client.failed) != 1 || len(w.lines()) != 0 {
		t.Errorf("%v, %q", err, w.lines())
	}
	// A port that takes connections and says nothing.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client = w.client(Config{}, &dnstest.Server{Address: l.Addr().String()}, fine)
	begin := time.Now()
	if err := client.ask(t, patience); err != nil || time.Since(begin) > dialTime {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// TestBad: an answer that breaks the rules is an error of its question alone, and what
// nobody asked for is nothing.
func TestBad(t *testing.T) {
	w := newWorld(t)
	s := w.serve("127.0.0.1:0", func(query []byte) []byte {
		b := good(query)
		var m dnsmessage.Message
		if m.Unpack(query) == nil && m.Questions[0].Type == dnsmessage.TypeA {
			const at = 12 + len("\x03www\x04test\x00") + 4
			copy(b[at:], []byte{0xc0, byte(at)})
		}
		return b
	})
	client := w.client(Config{}, s)
	if err := client.ask(t, patience); !errors.Is(err, names.ErrMalformed) {
		t.Errorf("%v", err)
	}
	q := testQuestion
	q.Type = dnsmessage.TypeAAAA
	if _, err := client.Exchange(t.Context(), "", "", q); err != nil || client.count(&client.dialed) != 1 {
		t.Errorf("%v, %d connections", err, client.count(&client.dialed))
	}
}

// TestIdle: a connection that nothing is asked on ends, and one with a question open too
// if nothing comes.
func TestIdle(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	l := newLink("x", here)
	_, o, err := l.begin(testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	l.extend(10 * time.Millisecond)
	<-o.done
	if o.err == nil || !l.isDead() {
		t.Errorf("%v", o.err)
	}
	if _, _, err := l.begin(testQuestion); !errors.Is(err, errGone) {
		t.Errorf("%v", err)
	}
	here, there = net.Pipe()
	defer there.Close()
	l = newLink("x", here)
	for i := range maxOpen + 1 {
		if _, _, err := l.begin(testQuestion); (err != nil) != (i == maxOpen) {
			t.Errorf("%d: %v", i, err)
		}
	}
	l.end(errGone)
}

// TestImpatient: askers of little patience do not end a connection for the others, but
// all of them together find out that nothing comes on it.
func TestImpatient(t *testing.T) {
	var timeout net.Error
	if !errors.As(about(&link{}, errSilent), &timeout) || !timeout.Timeout() {
		t.Error("a server that does not answer is no timeout")
	}
	here, there := net.Pipe()
	defer there.Close()
	l := newLink("x", here)
	defer l.end(errGone)
	begin := func() (uint16, *question) {
		id, o, err := l.begin(testQuestion)
		if err != nil {
			t.Fatal(err)
		}
		return id, o
	}
	first, o := begin()
	l.since = time.Now().Add(time.Hour) // the test may take its time
	if l.giveUp(first, o) {
		t.Error("a server is silent at once")
	}
	l.since = time.Now().Add(-silentTime)
	second, o := begin()
	if !l.giveUp(second, o) {
		t.Error("nothing came for long, and the server is not silent")
	}
	third, o := begin()
	l.heardMessage([]byte{byte(first >> 8), byte(first)})
	if l.giveUp(third, o) {
		t.Error("a server that answers late is silent")
	}
}

func TestParse(t *testing.T) {
	for v, want := range map[string]Server{
		"9.9.9.9":                    {"9.9.9.9:853", ""},
		"9.9.9.9:8853#dns.quad9.net": {"9.9.9.9:8853", "dns.quad9.net"},
		"2620:fe::fe#dns.quad9.net.": {"[2620:fe::fe]:853", "dns.quad9.net"},
		"[2620:fe::fe]":              {"[2620:fe::fe]:853", ""},
		"[fe80::1%eth0]:853#xn--a.b": {"[fe80::1%eth0]:853", "xn--a.b"},
		"127.0.0.1#_x." + certName:   {"127.0.0.1:853", "_x." + certName},
	} {
		got, err := ParseServer(v)
		if again, e := ParseServer(got.String()); err != nil || got != want || e != nil || again != got {
			t.Errorf("%s: %+v, %v; %s is %+v, %v", v, got, err, got, again, e)
		}
	}
	for _, v := range []string{"", "#a", "dns.quad9.net", "9.9.9.9:0", "9.9.9.9:x", "9.9.9.9:65536", "9.9.9.9#", "9.9.9.9#a b", "9.9.9.9#a..b", "9.9.9.9#9.9.9.9",
		"0.0.0.0", "[::]", "224.0.0.1", "[9.9.9.9]", "[::1", "::ffff:1.2.3.4", "9.9.9.9#" + strings.Repeat("x", 64), "9.9.9.9#" + strings.Repeat("x.", 127)} {
		if s, err := ParseServer(v); err == nil {
			t.Errorf("%q: %+v", v, s)
		}
	}
	w := newWorld(t)
	if p, err := ParsePin(w.pin.String()); err != nil || p != w.pin {
		t.Errorf("%v, %v", p, err)
	}
	for _, v := range []string{"", "x", w.pin.String()[1:], w.pin.String() + "AAAA"} {
		if _, err := ParsePin(v); err == nil {
			t.Errorf("pin %q", v)
		}
	}
	if _, err := ParseConfig([]string{"9.9.9.9", "x"}, nil); err == nil || !strings.HasPrefix(err.Error(), "dns-tls=x: want ") {
		t.Errorf("%v", err)
	}
	if _, err := ParseConfig([]string{"9.9.9.9"}, []string{"x"}); err == nil || !strings.HasPrefix(err.Error(), "dns-pin=x: want ") {
		t.Errorf("%v", err)
	}
	if _, err := ParseConfig(make([]string, maxServers+1), nil); err == nil {
		t.Error("any number of servers")
	}
}

// TestPrintable: a stranger's certificate writes no line of its own.
func TestPrintable(t *testing.T) {
	got := printable("valid for a\ntailor: all is well\x1b[2J\x00" + strings.Repeat("x", 1000))
	if strings.ContainsAny(got, "\n\x1b\x00") || len(got) > maxText || !strings.HasPrefix(got, "valid for a?tailor") {
		t.Errorf("%q", got)
	}
}

// FuzzParseServer: what is accepted is an address to connect to, and is written as it is
// read.
func FuzzParseServer(f *testing.F) {
	f.Add("9.9.9.9:853#dns.quad9.net")
	f.Add("[2620:fe::fe]")
	f.Fuzz(func(t *testing.T, v string) {
		s, err := ParseServer(v)
		if err != nil {
			return
		}
		host, _, err := net.SplitHostPort(s.Address)
		if err != nil || host == "" || strings.ContainsAny(s.Name, " \"\x00,") {
			t.Fatalf("%q: %+v, %v", v, s, err)
		}
		if again, err := ParseServer(s.String()); err != nil || again != s {
			t.Fatalf("%q: %+v, then %+v, %v", v, s, again, err)
		}
	})
}

// FuzzHeard: whatever a server sends is for the question with its id, or nobody's.
func FuzzHeard(f *testing.F) {
	query, _ := names.AppendQuery(nil, 7, testQuestion, true)
	f.Add(good(query))
	f.Fuzz(func(t *testing.T, msg []byte) {
		l := &link{open: map[uint16]*question{}}
		o := &question{q: testQuestion, done: make(chan struct{})}
		l.open[7] = o
		l.heardMessage(msg)
		select {
		case <-o.done:
			if (o.a == nil) == (o.err == nil) || msg[0] != 0 || msg[1] != 7 {
				t.Fatalf("%x: %+v, %v", msg, o.a, o.err)
			}
		default:
			if len(msg) > 1 && msg[0] == 0 && msg[1] == 7 {
				t.Fatalf("%x: not heard", msg)
			}
		}
	})
}
