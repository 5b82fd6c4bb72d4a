package e2e

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// soak makes TestPinataAttack last that long; see make soak.
var soak = flag.Duration("soak", 0, "let TestPinataAttack last that `long`")

// An attack is strangers who make connections to a Piñata and behave badly.
type attack struct {
	p       *pinata
	hello   []byte // the first message of a TLS client
	made    atomic.Int64
	refused atomic.Int64 // connections that could not be made

	mu   sync.Mutex
	held []net.Conn // that do nothing more
}

// mostHeld bounds the connections that an attack leaves open.
const mostHeld = 300

// An abuse is one way to behave badly, and how much of an attack it is.
type abuse struct {
	share int
	do    func(a *attack, r *rand.Rand)
}

var abuses = []abuse{
	{30, (*attack).hangUp}, {25, (*attack).noise}, {20, (*attack).half}, {6, (*attack).stay}, {4, (*attack).drip},
	{4, (*attack).handshake}, {4, (*attack).flood}, {4, (*attack).knock}, {3, (*attack).page},
}

func (a *attack) dial(addr string) net.Conn {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		a.refused.Add(1)
		return nil
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// door returns a connection to one of two doors.
func (a *attack) door(r *rand.Rand) net.Conn {
	if r.IntN(3) == 0 {
		return a.dial(a.p.client)
	}
	return a.dial(a.p.server)
}

// say connects, says something, and hangs up.
func (a *attack) say(r *rand.Rand, text []byte) {
	if c := a.door(r); c != nil {
		c.Write(text)
		c.Close()
	}
}

func (a *attack) hangUp(r *rand.Rand) { a.say(r, nil) }

func (a *attack) noise(r *rand.Rand) {
	text := make([]byte, 1+r.IntN(1500))
	for i := range text {
		text[i] = byte(r.Uint32())
	}
	a.say(r, text)
}

// half says a part of a handshake, some of it changed.
func (a *attack) half(r *rand.Rand) {
	text := append([]byte(nil), a.hello[:r.IntN(len(a.hello))]...)
	if len(text) > 0 && r.IntN(2) == 0 {
		text[r.IntN(len(text))] ^= byte(1 + r.IntN(255))
	}
	a.say(r, text)
}

// stay begins a handshake and says nothing more.
func (a *attack) stay(r *rand.Rand) {
	if c := a.door(r); c != nil {
		c.Write(a.hello)
		a.hold(c)
	}
}

// drip says one byte, and nothing more.
func (a *attack) drip(r *rand.Rand) {
	if c := a.door(r); c != nil {
		c.Write(a.hello[:1])
		a.hold(c)
	}
}

// hold keeps a connection open, in the place of an older one.
func (a *attack) hold(c net.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.held) >= mostHeld {
		a.held[0].Close()
		a.held = a.held[1:]
	}
	a.held = append(a.held, c)
}

// handshake does a whole one, without a certificate.
func (a *attack) handshake(*rand.Rand) {
	if c := a.dial(a.p.server); c != nil {
		t := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if t.Handshake() == nil {
			io.Copy(io.Discard, t)
		}
		c.Close()
	}
}

// flood begins a record and sends more than anybody should.
func (a *attack) flood(r *rand.Rand) {
	c := a.door(r)
	if c == nil {
		return
	}
	text := make([]byte, 64<<10)
	copy(text, a.hello)
	c.Write(text)
	c.Close()
}

// knock asks to be connected back to, where nobody listens.
func (a *attack) knock(*rand.Rand) {
	if c := a.dial(a.p.back); c != nil {
		c.Close()
	}
}

// page asks for half a page.
func (a *attack) page(r *rand.Rand) {
	c := a.dial(a.p.web)
	if c == nil {
		return
	}
	if r.IntN(2) == 0 {
		io.WriteString(c, "GET /status HTTP/1.1\r\n\r\n")
		c.Close()
		return
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
	a.hold(c)
}

// run makes connections in several goroutines until more says that it is enough.
func (a *attack) run(strangers int, more func(made int64) bool) {
	var all sync.WaitGroup
	total := 0
	for _, b := range abuses {
		total += b.share
	}
	for i := range strangers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(i)))
			for more(a.made.Add(1) - 1) {
				n := r.IntN(total)
				for _, b := range abuses {
					if n -= b.share; n < 0 {
						b.do(a, r)
						break
					}
				}
			}
		})
	}
	all.Wait()
}

// A guestOfHonour has a certificate, and comes again and again.
type guestOfHonour struct {
	from           string // its address
	config         *tls.Config
	came, served   int
	slowest, total time.Duration
	last           error
}

// visit does a whole handshake and wants the secret.
func (g *guestOfHonour) visit(addr, secret string) {
	begin := time.Now()
	g.came++
	err := func() error {
		dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(g.from)}}
		c, err := dialer.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		got, err := io.ReadAll(tls.Client(c, g.config))
		if err == nil && string(got) != secret {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}()
	if err != nil {
		g.last = err
		return
	}
	took := time.Since(begin)
	g.served, g.slowest, g.total = g.served+1, max(g.slowest, took), g.total+took
}

// 10,000 connections of all kinds of abuse, while somebody with a certificate comes again
// and again and is served, and what the guest uses of its memory stays within bounds;
// 250 where it is emulated, 2,500 on a plain process. With -soak, that long. On the
// user network all have one address, the good one too, so that one peer may have more of
// the places than by default; on a plain process the good one has another.
func TestPinataAttack(t *testing.T) {
	const heap, memory = 28 << 20, 44 << 20 // of 48 MiB that there are
	ca := testPKI(t)
	pair, err := tls.LoadX509KeyPair(filepath.Join(ca.dir, "good.pem"), filepath.Join(ca.dir, "good.key"))
	if err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, on target) {
		guest := &guestOfHonour{from: "127.0.0.2", config: &tls.Config{Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}}
		args := append(ca.args(t), "-secret", "S", "-handshake", "2s")
		if on.has(ownNetwork) {
			guest.from, args = "127.0.0.1", append(args, "-per-peer", "192")
		}
		p := startPinata(t, on, on.memory("48M"), args...)
		a := &attack{p: p, hello: clientHello(t)}
		begin, n := time.Now(), int64(10000)
		if on.slow > 1 || !on.has(ownNetwork) {
			n = int64(on.times(2500))
		}
		more := func(made int64) bool { return made < n }
		if *soak > 0 {
			more = func(int64) bool { return time.Since(begin) < *soak }
		}
		ctx, over := context.WithCancel(t.Context())
		go func() { a.run(16, more); over() }()
		for noted := begin; ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
			guest.visit(p.server, "S")
			if time.Since(noted) > 30*time.Second {
				noted = time.Now()
				t.Log(a, guest, p.status(t).figures())
			}
		}
		took := time.Since(begin)
		guest.visit(p.server, "S")
		st := p.status(t)
		t.Logf("%v: %.0f/s; %v; %s", a, float64(a.made.Load())/took.Seconds(), guest, st.figures())
		if guest.served < guest.came*9/10 || guest.served == 0 {
			t.Errorf("who has a certificate was served %d times of %d: %v", guest.served, guest.came, guest.last)
		}
		if st.Peak > heap || st.Memory > memory {
			t.Errorf("the heap had up to %d bytes of %d, Go %d of %d", st.Peak, heap, st.Memory, memory)
		}
		for _, c := range a.held {
			c.Close()
		}
		if lines := len(p.ErrOut.String()); lines > 100<<10+int(took.Seconds())*2000 {
			t.Errorf("the log has %d bytes", lines)
		}
		p.quiet(t)
		st = p.status(t) // when all attempts have ended
		for _, d := range st.Doors {
			if d.Itself != 0 {
				t.Errorf("a stranger has the secret: %+v", st)
			}
		}
		// One to whom it is for may have been reset before it had read it.
		if n := st.Doors["server"].Handed; n < guest.served || n > guest.came || st.Doors["client"].Handed+st.Doors["back"].Handed != 0 {
			t.Errorf("handed out: %+v, and %d to whom it is for, who came %d times", st.Doors, guest.served, guest.came)
		}
		p.end(t)
	}, computing)
}

// quiet waits until all strangers have gone, and what they had.
func (p *pinata) quiet(t *testing.T) {
	t.Helper()
	var st pinataStatus
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		st = p.status(t)
		if st.Doors["server"].Open+st.Doors["client"].Open+st.Doors["back"].Open == 0 && st.Goroutines < 24 {
			return
		}
	}
	t.Errorf("something is left: %+v", st)
}

// clientHello returns the first message of a TLS client.
func clientHello(t *testing.T) []byte {
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

func (a *attack) String() string {
	return fmt.Sprintf("%d connections, %d not made", a.made.Load(), a.refused.Load())
}

func (g *guestOfHonour) String() string {
	return fmt.Sprintf("the good one served %d of %d times, %v on average, %v at most (last error: %v)",
		g.served, g.came, (g.total / time.Duration(max(1, g.served))).Round(time.Millisecond), g.slowest.Round(time.Millisecond), g.last)
}

func (st pinataStatus) figures() string {
	return fmt.Sprintf("heap %.1f MiB, at most %.1f, Go has %.1f; %d collections, %d goroutines; %+v; refused %v; %+v",
		float64(st.Heap)/(1<<20), float64(st.Peak)/(1<<20), float64(st.Memory)/(1<<20), st.GCs, st.Goroutines, st.Doors, st.Failed, st.Crowd)
}
