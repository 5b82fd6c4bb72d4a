package logs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/rsyslogtest"
	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/ship"
	"github.com/tailor-os/tailor/logs/syslog"
	_ "github.com/tailor-os/tailor/logs/tcp"
	_ "github.com/tailor-os/tailor/logs/tls"
	_ "github.com/tailor-os/tailor/logs/udp"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/params"
)

// said is what people were told.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) say(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

func start(t testing.TB, words ...string) (*ship.Shipper, *said) {
	t.Helper()
	var s said
	c, err := logs.Start(params.Words(params.Line{System: words}.String()), s.say)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Flush(time.Second) })
	return c, &s
}

func add(c *ship.Shipper, severity syslog.Severity, text string, data []byte) {
	c.Add(syslog.Message{Severity: severity, Time: time.Now(), Text: []byte(text), Data: data})
}

func clientCert(certs *rsyslogtest.Certs) []string {
	return []string{"syslog-roots=" + certs.Roots, "syslog-cert=" + certs.ClientCert, "syslog-key=" + certs.ClientKey}
}

// TestCollector: rsyslog writes what was sent, by each transport, framing and
// format.
func TestCollector(t *testing.T) {
	certs := rsyslogtest.NewCerts(t)
	host, _ := os.Hostname()
	long := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, c := range []struct {
		transport string
		words     []string
		limit     int // bytes of a message
	}{
		{"udp", nil, syslog.MaxDatagram},
		{"udp", []string{"syslog-format=rfc3164"}, syslog.MaxOld},
		{"tcp", nil, syslog.MaxStream},
		{"tcp", []string{"syslog-framing=lines"}, syslog.MaxStream},
		{"tls", clientCert(certs), syslog.MaxStream},
	} {
		t.Run(strings.Join(append([]string{c.transport}, c.words...), " ")[:min(24, len(c.transport)+22*len(c.words))], func(t *testing.T) {
			r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: c.transport, Certs: certs})
			s, told := start(t, append([]string{"syslog=" + r.URL, "syslog-facility=local3", "syslog-app=web"}, c.words...)...)
			add(s, syslog.Info, "hello, wörld", nil)
			add(s, syslog.Error, `brackets ] and "quotes"`, syslog.AppendParam(nil, "user", `a]"b\`))
			add(s, syslog.Debug, "a\tb\x00c\x1b[31m\nd\x7f", nil)
			add(s, syslog.Warning, long, nil)
			s.Flush(5 * time.Second)
			lines := r.AwaitCount(5*time.Second, 4)
			head := func(pri int) string { return fmt.Sprintf("%d|%s|web|%d|", pri, host, os.Getpid()) }
			want := []string{
				head(158) + "-|hello, wörld",
				head(155) + `[attrs@32473 user="a\]\"b\\"]|brackets ] and "quotes"`,
				head(159) + "-|a#011b#000c#033[31m#012d#177",
			}
			if len(c.words) > 0 && c.words[0] == "syslog-format=rfc3164" {
				want[1] = head(155) + `-|brackets ] and "quotes" user="a\]\"b\\"`
				for i := range lines {
					lines[i] = strings.Replace(lines[i], "|-| ", "|-|", 1)
				}
			}
			if len(lines) != 4 || strings.Join(lines[:3], "\n") != strings.Join(want, "\n") {
				t.Fatalf("rsyslog wrote\n%.3000s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
			}
			text := strings.TrimPrefix(lines[3], head(156)+"-|")
			if !strings.HasPrefix(long, text) || len(text) < c.limit-120 || len(text) > c.limit {
				t.Errorf("a line of 1 MiB arrived as %d bytes: %.100s", len(text), text)
			}
			if st := s.Stats(); told.String() != "" || st.Sent != 4 || st.Dropped != 0 {
				t.Errorf("%+v, said %q", st, told)
			}
		})
	}
}

// TestMany: 100,000 lines as fast as they can be added. What is not received was
// counted as dropped.
func TestMany(t *testing.T) {
	certs := rsyslogtest.NewCerts(t)
	r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tls", Certs: certs})
	s, said := start(t, append([]string{"syslog=" + r.URL}, clientCert(certs)...)...)
	const n = 100_000
	began := time.Now()
	for i := range n {
		add(s, syslog.Info, fmt.Sprintf("line %06d %s", i, strings.Repeat("x", 80)), nil)
	}
	added := time.Since(began)
	s.Flush(20 * time.Second)
	sent := time.Since(began)
	st := s.Stats()
	received := func(lines []string) (n int) {
		last := -1
		for _, l := range lines {
			var i int
			if at := strings.Index(l, "|line "); at >= 0 {
				if fmt.Sscanf(l[at:], "|line %d", &i); i <= last {
					t.Fatalf("line %d after line %d", i, last)
				}
				last, n = i, n+1
			}
		}
		return n
	}
	told := func(lines []string) (dropped uint64, reports int) {
		for _, l := range lines {
			var n uint64
			if _, report, ok := strings.Cut(l, "|tailor: syslog: "); ok {
				fmt.Sscanf(report, "%d messages were dropped", &n)
				dropped, reports = dropped+n, reports+1
			}
		}
		return dropped, reports
	}
	lines := r.Await(20*time.Second, func(lines []string) bool {
		dropped, reports := told(lines)
		return dropped >= st.Dropped && len(lines)-reports >= int(st.Sent)
	})
	got := received(lines)
	t.Logf("%d lines added in %v, sent after %v, received after %v; %d received, %d dropped; %q", n, added, sent, time.Since(began), got, st.Dropped, said)
	if uint64(got)+st.Dropped != n || st.Added+st.Dropped != n {
		t.Errorf("%d lines: %d received, %+v", n, got, st)
	}
	if dropped, _ := told(lines); dropped != st.Dropped {
		t.Errorf("the collector was told of %d dropped messages, not %d", dropped, st.Dropped)
	}
}

// TestCollectorAway: a collector that is killed and comes back gets what was said
// meanwhile, as far as there was room, and how much there was not.
func TestCollectorAway(t *testing.T) {
	r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tcp"})
	s, told := start(t, "syslog="+r.URL)
	add(s, syslog.Info, "before", nil)
	// The program is called what its file is, dots and all.
	if lines := r.AwaitCount(5*time.Second, 1); len(lines) != 1 || !strings.Contains(lines[0], "|"+filepath.Base(os.Args[0])+"|") {
		t.Errorf("%q", lines)
	}
	r.Kill()
	await(t, told, "tailor: syslog: cannot send to "+r.URL)
	line := strings.Repeat("x", 1000)
	began := time.Now()
	for i := range 3000 {
		add(s, syslog.Info, fmt.Sprintf("during %d %s", i, line), nil)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("3000 lines took %v without a collector", took)
	}
	dropped := s.Stats().Dropped
	if dropped < 1000 || dropped > 2500 {
		t.Errorf("%d of 3 MB dropped", dropped)
	}
	r.Run()
	await(t, told, fmt.Sprintf("%d messages were dropped", dropped))
	add(s, syslog.Info, "after", nil)
	s.Flush(5 * time.Second)
	lines := r.Await(5*time.Second, func(l []string) bool { return strings.HasSuffix(l[len(l)-1], "|after") })
	if want := 1 + 3000 - int(dropped) + 1 + 1; len(lines) != want {
		t.Errorf("%d lines, want %d, ending in %.200q", len(lines), want, lines[len(lines)-1])
	}
	if n := strings.Count(told.String(), "cannot send"); n != 1 || !strings.Contains(told.String(), "again") {
		t.Errorf("said:\n%s", told)
	}
	var w metrics.Writer
	s.WriteFigures(&w)
	for _, want := range []string{fmt.Sprintf(`messages_total{result="dropped"} %d`, dropped), fmt.Sprintf(`messages_total{result="sent"} %d`, 3002-dropped), "queue_messages 0"} {
		if text := string(w.Bytes()); !strings.Contains(text, "\ntailor_log_"+want+"\n") {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if n := s.Stats().Dialed; n < 2 {
		t.Errorf("%d connections", n)
	}
}

// await waits until something has been said.
func await(t *testing.T, s *said, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(s.String(), text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not said: %q; but:\n%s", text, s)
		}
	}
}

// TestCertificates: who cannot show the right one gets and has nothing, and it is
// said once.
func TestCertificates(t *testing.T) {
	certs, others := rsyslogtest.NewCerts(t), rsyslogtest.NewCerts(t)
	r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tls", Certs: certs})
	for name, c := range map[string]struct {
		words []string
		want  string
	}{
		"other roots":    {[]string{"syslog-roots=" + others.Roots, "syslog-cert=" + certs.ClientCert, "syslog-key=" + certs.ClientKey}, "certificate signed by unknown authority"},
		"another name":   {append(clientCert(certs), "syslog-name=other.test"), "not other.test"},
		"system roots":   {nil, "certificate signed by unknown authority"},
		"none of ours":   {[]string{"syslog-roots=" + certs.Roots}, ""},
		"another client": {[]string{"syslog-roots=" + certs.Roots, "syslog-cert=" + others.ClientCert, "syslog-key=" + others.ClientKey}, ""},
	} {
		s, told := start(t, append([]string{"syslog=" + r.URL}, c.words...)...)
		add(s, syslog.Info, "secret", nil)
		await(t, told, c.want)
		await(t, told, "; trying again")
		time.Sleep(300 * time.Millisecond) // further attempts
		if n := strings.Count(told.String(), "cannot send"); n != 1 {
			t.Errorf("%s: said %d times:\n%s", name, n, told)
		}
		if st := s.Stats(); st.Sent != 0 {
			t.Errorf("%s: %+v", name, st)
		}
	}
	if lines := r.Lines(); len(lines) != 0 {
		t.Errorf("arrived: %q", lines)
	}
	s, told := start(t, append([]string{"syslog=" + r.URL, "syslog-name=logs.test"}, clientCert(certs)...)...)
	add(s, syslog.Info, "right", nil)
	s.Flush(5 * time.Second)
	if lines := r.AwaitCount(5*time.Second, 1); len(lines) != 1 || told.String() != "" {
		t.Errorf("%q, said %q", lines, told)
	}
}

// TestStartErrors: what can never work is an error that says what to do.
func TestStartErrors(t *testing.T) {
	certs := rsyslogtest.NewCerts(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for want, words := range map[string]string{
		"is malformed: want udp|tcp|tls://":     "syslog=http://x",
		missing + ": no such file":              "syslog=tls://x syslog-roots=" + missing,
		certs.Key + " has no certificate":       "syslog=tls://x syslog-roots=" + certs.Key,
		"failed to find certificate PEM data":   "syslog=tls://x syslog-cert=" + certs.Key + " syslog-key=" + certs.Key,
		"private key does not match public key": "syslog=tls://x syslog-cert=" + certs.ClientCert + " syslog-key=" + certs.Key,
		"/run/secrets/syslog-key.pem: no such":  "syslog=tls://x syslog-cert=" + certs.ClientCert,
	} {
		if _, err := logs.Start(params.Words(words), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
	if s, err := logs.Start("hostname=x", nil); s != nil || err != nil {
		t.Errorf("without syslog=: %v, %v", s, err)
	}
}

// TestHangs: a collector that takes nothing neither stops the program nor its end.
func TestHangs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, told := start(t, "syslog=tcp://"+l.Addr().String())
	began := time.Now()
	for range 20_000 {
		add(s, syslog.Info, strings.Repeat("x", 1000), nil)
	}
	s.Flush(300 * time.Millisecond)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	st := s.Stats()
	if want := fmt.Sprintf(": %d messages could not be sent to tcp://", 20_000-st.Sent); st.Dropped == 0 || !strings.Contains(told.String(), want) {
		t.Errorf("%+v, said %q, want %q", st, told, want)
	}
}

// TestNothingToSend: a program that has nothing to send does not stay for a collector
// that is not there.
func TestNothingToSend(t *testing.T) {
	attempts := make(chan struct{})
	s := ship.New(ship.Config{Say: func(string) {}, Transport: ship.Transport{Dial: func(ctx context.Context) (net.Conn, error) {
		select {
		case attempts <- struct{}{}:
			return nil, errors.New("away")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}})
	for range 4 {
		<-attempts // before the next, 400 ms at least
	}
	began := time.Now()
	s.Flush(5 * time.Second)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// BenchmarkTLS is how fast rsyslog takes lines of 100 bytes, none of which is
// dropped.
func BenchmarkTLS(b *testing.B) {
	certs := rsyslogtest.NewCerts(b)
	r := rsyslogtest.Start(b, rsyslogtest.Config{Transport: "tls", Certs: certs})
	s, _ := start(b, append([]string{"syslog=" + r.URL}, clientCert(certs)...)...)
	m := syslog.Message{Severity: syslog.Info, Time: time.Now(), Text: []byte(strings.Repeat("0123456789", 10))}
	for b.Loop() {
		for s.Stats().Waiting > 4000 {
			time.Sleep(100 * time.Microsecond)
		}
		s.Add(m)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
	if n, st := len(r.AwaitCount(20*time.Second, b.N)), s.Stats(); n != b.N || st.Dropped > 0 {
		b.Errorf("%d lines of %d received, %+v", n, b.N, st)
	}
}

func BenchmarkAdd(b *testing.B) {
	r := rsyslogtest.Start(b, rsyslogtest.Config{Transport: "tcp"})
	s, _ := start(b, "syslog="+r.URL)
	m := syslog.Message{Severity: syslog.Info, Time: time.Now(), Text: []byte(strings.Repeat("0123456789", 10))}
	b.ReportAllocs()
	for b.Loop() {
		s.Add(m)
	}
	s.Flush(5 * time.Second)
	b.ReportMetric(float64(s.Stats().Dropped)/float64(b.N), "dropped/op")
}
