package names

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/metrics"
)

// A Stub answers what a resolver asks. Its methods may be called by several goroutines
// at once.
type Stub struct {
	cache *Cache
	up    Upstream
	now   func() time.Time

	mu      sync.Mutex
	flights map[flightKey]*flight

	hits, shared, asked, failures atomic.Uint64
}

// A flightKey says what is asked of whom.
type flightKey struct{ key, network, server string }

// A flight is a question that is being asked, and those who wait for its answer.
type flight struct {
	deadline time.Time     // of who began it
	done     chan struct{} // closed when the rest is set
	a        *Answer
	err      error
}

// New returns a stub that asks up for what is not in cache.
func New(cache *Cache, up Upstream) *Stub {
	return &Stub{cache: cache, up: up, now: time.Now, flights: map[flightKey]*flight{}}
}

// Dial is for [net.Resolver]: it returns a connection on which the stub answers, as a
// server would over TCP, so that no answer is too long for it. It uses no socket.
func (s *Stub) Dial(ctx context.Context, network, server string) (net.Conn, error) {
	c := &conn{s: s, network: network, server: server, changed: make(chan struct{}, 1)}
	c.deadline, _ = ctx.Deadline()
	return c, nil
}

// cached answers a question from the cache; nil if it cannot.
func (s *Stub) cached(q query) []byte {
	a, age := s.cache.get(keyOf(q.q), s.now())
	if a == nil {
		return nil
	}
	s.hits.Add(1)
	return a.bytesFor(q, age)
}

// ask answers a question, for which it asks until a deadline. Somebody else's, who had
// less time, is not enough to give it up.
func (s *Stub) ask(q query, network, server string, deadline time.Time) ([]byte, error) {
	for {
		f, err := s.flight(q.q, network, server, deadline)
		if err != nil {
			return nil, err
		}
		<-f.done
		if f.err == nil {
			return f.a.bytesFor(q, 0), nil
		}
		if !isTimeout(f.err) || deadline.Sub(f.deadline) < worthAsking {
			return nil, f.err
		}
	}
}

// flight returns the one that asks a question of a server, if need be a new one.
func (s *Stub) flight(q dnsmessage.Question, network, server string, deadline time.Time) (*flight, error) {
	id := flightKey{keyOf(q), network, server}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[id]; f != nil {
		s.shared.Add(1)
		return f, nil
	}
	if len(s.flights) >= MaxFlights {
		s.failures.Add(1)
		return nil, errBusy
	}
	f := &flight{deadline: deadline, done: make(chan struct{})}
	s.flights[id] = f
	go func() {
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		f.a, f.err = s.up.Exchange(ctx, network, server, q)
		if f.err == nil {
			s.asked.Add(1)
			s.cache.put(id.key, f.a, s.now())
		} else {
			s.failures.Add(1)
		}
		s.mu.Lock()
		delete(s.flights, id)
		s.mu.Unlock()
		close(f.done)
	}()
	return f, nil
}

// WriteFigures is a [metrics.Source].
func (s *Stub) WriteFigures(w *metrics.Writer) {
	w.Counter("tailor_dns_questions_total", "Questions of the program's resolver by what became of them: answered from the cache, by a server, together with the same question of somebody else's, or not.").
		Add(float64(s.hits.Load()), "result", "hit").Add(float64(s.asked.Load()), "result", "miss").
		Add(float64(s.shared.Load()), "result", "shared").Add(float64(s.failures.Load()), "result", "failed")
	entries, bytes, evicted := s.cache.usage()
	w.Gauge("tailor_dns_cache_entries", "Answers in the cache, expired ones included.").Add(float64(entries))
	w.Gauge("tailor_dns_cache_bytes", "What those take.").Add(float64(bytes))
	w.Gauge("tailor_dns_cache_size_bytes", "What the cache has room for.").Add(float64(s.cache.maxBytes))
	w.Counter("tailor_dns_cache_evictions_total", "Answers that had to make room.").Add(float64(evicted))
}
