package names

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/internal/dnstest"
	"github.com/tailor-os/tailor/metrics"
)

// fixed is an upstream with one answer.
type fixed struct{ a *Answer }

func (f fixed) Exchange(context.Context, string, string, dnsmessage.Question) (*Answer, error) {
	return f.a, nil
}

// A world is Go's resolver on a stub that asks a server of the test's, with a clock that
// the test moves.
type world struct {
	*net.Resolver
	stub   *Stub
	server *dnstest.Server
	ahead  atomic.Int64 // of the clock
}

func newWorld(t testing.TB, answer func(query []byte) []byte) *world {
	return newWorld2(t, answer, answer)
}

// newWorld2 is a world whose server has other answers over TCP.
func newWorld2(t testing.TB, packet, stream func(query []byte) []byte) *world {
	t.Helper()
	w := &world{server: dnstest.Serve(t, packet, stream)}
	w.stub = New(NewCache(1000), Plain{})
	w.stub.now = func() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }
	w.Resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return w.stub.Dial(ctx, network, w.server.Address)
	}}
	return w
}

func always(fill dnstest.Fill) func(query []byte) []byte {
	return func(query []byte) []byte { return dnstest.Reply(query, fill) }
}

func (w *world) lookup(t testing.TB, name string, want ...string) error {
	t.Helper()
	got, err := w.LookupHost(t.Context(), name)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s is %v, %v, want %v", name, got, err, want)
	}
	return err
}

// TestResolver: names are asked for once in their time, and so are those that are not
// there.
func TestResolver(t *testing.T) {
	w := newWorld(t, always(func(q dnsmessage.Question, m *dnsmessage.Message) {
		if q.Name.String() == "www.test." {
			dnstest.Address([4]byte{192, 0, 2, 80}, 30)(q, m)
			return
		}
		m.RCode = dnsmessage.RCodeNameError
		dnstest.AddSOA(m, 600, 10)
	}))
	for after, want := range []int{2, 2, 2, 4} { // A and AAAA, every ten seconds
		w.ahead.Store(int64(time.Duration(after) * 10 * time.Second))
		w.lookup(t, "www.test.", "192.0.2.80")
		w.lookup(t, "WWW.test.", "192.0.2.80")
		if got := w.server.Queries(); got != want {
			t.Errorf("after %d0 s: %d queries, want %d", after, got, want)
		}
	}
	before := w.server.Queries()
	for after, want := range []int{2, 2, 4} { // every six seconds
		w.ahead.Store(int64(time.Hour + time.Duration(after)*6*time.Second))
		err := w.lookup(t, "nope.test.")
		var dns *net.DNSError
		if !errors.As(err, &dns) || !dns.IsNotFound {
			t.Errorf("%v", err)
		}
		if got := w.server.Queries() - before; got != want {
			t.Errorf("no such name, after %d s: %d queries, want %d", after*6, got, want)
		}
	}
	var f metrics.Writer
	w.stub.WriteFigures(&f)
	for _, want := range []string{`tailor_dns_questions_total{result="hit"} 14` + "\n", `{result="miss"} 8` + "\n", "tailor_dns_cache_entries 4\n"} {
		if !strings.Contains(string(f.Bytes()), want) {
			t.Errorf("no %q in\n%s", want, f.Bytes())
		}
	}
}

// TestTogether: who asks what is being asked shares the answer.
func TestTogether(t *testing.T) {
	const askers = 50
	let := make(chan bool)
	w := newWorld(t, func(query []byte) []byte {
		<-let
		return dnstest.Reply(query, dnstest.Address([4]byte{192, 0, 2, 80}, 0)) // which is not kept
	})
	var all sync.WaitGroup
	q, _ := AppendQuery(make([]byte, 2), 1, testQuestion, false)
	for i := range askers {
		all.Go(func() {
			c, _ := w.stub.Dial(t.Context(), "udp", w.server.Address)
			defer c.Close()
			query := append([]byte(nil), q...)
			binary.BigEndian.PutUint16(query[2:], uint16(i))
			if err := WriteMessage(c, query); err != nil {
				t.Error(err)
			}
			msg, err := ReadMessage(c)
			if err != nil || binary.BigEndian.Uint16(msg) != uint16(i) {
				t.Errorf("%x, %v", msg, err)
			}
		})
	}
	for w.stub.shared.Load() < askers-1 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	close(let)
	all.Wait()
	if got := w.server.Queries(); got != 1 {
		t.Errorf("%d queries", got)
	}
}

// An upstream is one of the test's.
type upstream func(ctx context.Context) (*Answer, error)

func (u upstream) Exchange(ctx context.Context, _, _ string, _ dnsmessage.Question) (*Answer, error) {
	return u(ctx)
}

// TestImpatient: who shares a question with an asker of less patience has its own.
func TestImpatient(t *testing.T) {
	a, err := Examine(reply(t, testQuestion, dnstest.Address([4]byte{192, 0, 2, 80}, 60)), testID, testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	s := New(NewCache(10), upstream(func(ctx context.Context) (*Answer, error) {
		if asked.Add(1) > 1 {
			return a, nil
		}
		<-ctx.Done()
		return nil, failed("udp", "192.0.2.1:53", ctx.Err())
	}))
	f, err := s.flight(testQuestion, "udp", "192.0.2.1:53", time.Now().Add(200*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ask(query{q: testQuestion}, "udp", "192.0.2.1:53", time.Now().Add(time.Minute)); err != nil || asked.Load() != 2 {
		t.Errorf("%v, asked %d times", err, asked.Load())
	}
	if <-f.done; !isTimeout(f.err) {
		t.Errorf("%v", f.err)
	}
}

// TestTruncated: what is too long for a datagram comes over TCP, whole and to the cache.
func TestTruncated(t *testing.T) {
	long := strings.Repeat("x", 200)
	short := always(func(_ dnsmessage.Question, m *dnsmessage.Message) {
		m.Truncated = true
		dnstest.Add(m, 60, &dnsmessage.TXTResource{TXT: []string{long}})
	})
	for what, packet := range map[string]func([]byte) []byte{
		"between records": short,
		"within a record": func(query []byte) []byte { b := short(query); return b[:len(b)-7] },
	} {
		w := newWorld2(t, packet, always(func(q dnsmessage.Question, m *dnsmessage.Message) {
			for range 15 {
				dnstest.Add(m, 60, &dnsmessage.TXTResource{TXT: []string{long}})
			}
		}))
		for range 2 {
			txt, err := w.LookupTXT(t.Context(), "long.test.")
			if err != nil || len(strings.Join(txt, "")) != 15*len(long) {
				t.Errorf("%s: %d texts, %v", what, len(txt), err)
			}
		}
		if got := w.server.Queries(); got != 2 {
			t.Errorf("%s: %d queries", what, got)
		}
	}
}

// TestHostile: what is no answer to the question is passed over and the answer taken;
// what breaks the rules is an error that says so, soon.
func TestHostile(t *testing.T) {
	w := newWorld(t, nil)
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	good := always(dnstest.Address([4]byte{192, 0, 2, 80}, 60))
	evil := always(dnstest.Address([4]byte{192, 0, 2, 66}, 60))
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	go func() {
		for b := make([]byte, 4096); ; {
			n, from, err := u.ReadFrom(b)
			if err != nil {
				return
			}
			stranger.WriteTo(evil(b[:n]), from) // right, but from another source
			guess := evil(b[:n])
			guess[0]++
			u.WriteTo(guess, from) // with another id
			other := evil(b[:n])
			other[headLen+1] ^= 1
			u.WriteTo(other, from)                 // of another name
			u.WriteTo(nil, from)                   // too short
			u.WriteTo(make([]byte, 9000), from)    // huge
			u.WriteTo(evil(b[:n])[:headLen], from) // without its question
			u.WriteTo(good(b[:n]), from)
		}
	}()
	w.server.Address = u.LocalAddr().String()
	w.lookup(t, "www.test.", "192.0.2.80")

	looping := newWorld(t, func(query []byte) []byte {
		b := good(query)
		at := headLen + len("\x05loops\x04test\x00") + 4
		if len(b) > at+2 {
			copy(b[at:], []byte{0xc0, byte(at)})
		}
		return b
	})
	begin := time.Now()
	err = looping.lookup(t, "loops.test.")
	if err == nil || !strings.Contains(err.Error(), "the answer is malformed") || time.Since(begin) > usualTime/2 {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
}

// TestSilence: a server that does not answer costs as long as the resolver says, and the
// error says which one.
func TestSilence(t *testing.T) {
	w := newWorld(t, func([]byte) []byte { return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := w.LookupHost(ctx, "www.test.")
	var dns *net.DNSError
	if took := time.Since(begin); !errors.As(err, &dns) || !dns.IsTimeout || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	c, _ := w.stub.Dial(t.Context(), "udp", w.server.Address)
	c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	q, _ := AppendQuery(make([]byte, 2), 1, testQuestion, false)
	if err := WriteMessage(c, q); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadMessage(c); err == nil || !strings.Contains(err.Error(), w.server.Address) || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("%v", err)
	}
	c.Close()
	if _, err := c.Write(q); err == nil {
		t.Error("a closed connection takes questions")
	}
}

// TestBusy: there is an end to how much can be asked at once.
func TestBusy(t *testing.T) {
	w := newWorld(t, func([]byte) []byte { return nil })
	for i := range MaxFlights + 1 {
		q := testQuestion
		q.Type = dnsmessage.Type(1000 + i)
		_, err := w.stub.flight(q, "udp", w.server.Address, time.Now().Add(time.Second))
		if (err != nil) != (i == MaxFlights) {
			t.Fatalf("%d: %v", i, err)
		}
	}
	c, _ := w.stub.Dial(t.Context(), "udp", w.server.Address)
	defer c.Close()
	if _, err := c.Write(make([]byte, 70000)); err == nil {
		t.Error("a message without a question has been taken")
	}
}

// BenchmarkLookup compares a name in the cache with one that a server on this machine's
// loopback is asked for.
func BenchmarkLookup(b *testing.B) {
	for what, ttl := range map[string]uint32{"cached": 3600, "asked": 0} {
		b.Run(what, func(b *testing.B) {
			w := newWorld(b, always(dnstest.Address([4]byte{192, 0, 2, 80}, ttl)))
			for b.Loop() {
				if _, err := w.LookupHost(b.Context(), "www.test."); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
