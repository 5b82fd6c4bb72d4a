package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tailor-os/tailor/internal/rsyslogtest"
	"github.com/tailor-os/tailor/internal/vmtest"
)

const (
	profGuestPkg = "./testdata/profguest"
	metricsURL   = "http://metrics/metrics" // for measured's client
)

// measured starts the guest whose figures are looked at, and returns a client that
// reaches its metrics under any name but that of guest, which is port 80.
func (r *road) measured(t *testing.T) *http.Client {
	t.Helper()
	at := "127.0.0.1:9090"
	if r.name == "user" {
		at = vmtest.FreePort(t, "tcp")
	}
	given := at
	if r.name == "tap" {
		at, given = net.JoinHostPort(tapGuest4, "9090"), ":9090"
	}
	flags := []string{"--metrics"}
	if r.on.has(ownNetwork) {
		flags = ntpFlags // one image for all these tests
	}
	img := r.on.buildWith(t, nil, profGuestPkg, flags...)
	p := r.startImage(t, img, append(r.on.memory("128M"), "--metrics", given))
	p.expect("ready\n")
	r.guest["metrics"] = at
	return r.metricsClient(t)
}

// measured is that on the road that needs nothing of the machine.
func measured(t *testing.T, on target) (*road, *http.Client) {
	t.Helper()
	road := unixRoad
	if on.has(ownNetwork) {
		road = userRoad
	}
	r := road(t, on)
	return r, r.measured(t)
}

func (r *road) metricsClient(t *testing.T) *http.Client {
	tr := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, addr string) (c net.Conn, err error) {
			if strings.HasPrefix(addr, "guest:") {
				return r.dial(ctx, "tcp 80")
			}
			return r.dialMetrics(ctx)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Timeout: limit, Transport: tr}
}

func (r *road) dialMetrics(ctx context.Context) (c net.Conn, err error) {
	d := net.Dialer{Timeout: dialTimeout}
	err = r.ns.do(func() (err error) {
		c, err = d.DialContext(ctx, "tcp", r.guest["metrics"])
		return err
	})
	return c, err
}

// figures are families by name.
type figures map[string]*dto.MetricFamily

// scrape asks for the figures as Prometheus does, and reads them with its parser.
func scrape(t *testing.T, c *http.Client) figures {
	t.Helper()
	resp, err := c.Get(metricsURL)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, resp)
}

// read returns the figures of an answer.
func read(t *testing.T, resp *http.Response) figures {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || expfmt.ResponseFormat(resp.Header).FormatType() != expfmt.TypeTextPlain {
		t.Fatalf("%v, %s, %v", err, resp.Status, resp.Header)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	f, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return f
}

// value returns a sample; labels are names and values in turn.
func (f figures) value(t *testing.T, name string, labels ...string) float64 {
	t.Helper()
next:
	for _, m := range f[name].GetMetric() {
		for i := 0; i < len(labels); i += 2 {
			found := false
			for _, l := range m.GetLabel() {
				found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
			}
			if !found {
				continue next
			}
		}
		return m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	t.Errorf("no %s %v", name, labels)
	return 0
}

// between checks that a sample is plausible.
func (f figures) between(t *testing.T, low, high float64, name string, labels ...string) {
	t.Helper()
	if v := f.value(t, name, labels...); v < low || v > high {
		t.Errorf("%s %v is %v, want %v to %v", name, labels, v, low, high)
	}
}

// conventional checks names and help as Prometheus wants them, and that counters
// have not gone back since before.
func (f figures) conventional(t *testing.T, before figures) {
	t.Helper()
	for name, family := range f {
		counter := family.GetType() == dto.MetricType_COUNTER
		if counter != strings.HasSuffix(name, "_total") || family.GetHelp() == "" || len(family.GetMetric()) == 0 {
			t.Errorf("%s: type %v, help %q, %d samples", name, family.GetType(), family.GetHelp(), len(family.GetMetric()))
		}
		for i, m := range before[name].GetMetric() {
			if old, v := m.GetCounter().GetValue(), family.GetMetric()[i].GetCounter().GetValue(); counter && v < old {
				t.Errorf("%s went back from %v to %v", name, old, v)
			}
		}
	}
}

// TestMetrics: figures are there, in the right form, and say what happens.
func TestMetrics(t *testing.T) { each(t, testMetrics) }

func testMetrics(t *testing.T, on target) {
	r, c := measured(t, on)
	first := scrape(t, c)
	first.conventional(t, nil)
	const open = 5
	for range open {
		r.tcp(t, "80")
	}
	if _, err := get(c, "/debug/pprof/cmdline"); err != nil {
		t.Fatal(err)
	}
	second := scrape(t, c)
	if on.has(ownNetwork) { // which a busy machine makes it wait for
		for end := time.Now().Add(limit / 4); (second.value(t, "tailor_idle_seconds_total") < 0.001 || second.value(t, "tailor_doorbells_total", "bell", "idle") == 0) && time.Now().Before(end); second = scrape(t, c) {
			time.Sleep(50 * time.Millisecond)
		}
	}
	second.conventional(t, first)
	second.between(t, 5, 100, "go_goroutines")
	second.between(t, 4<<20, 64<<20, "go_memstats_heap_alloc_bytes")
	now := float64(time.Now().Unix())
	second.between(t, now-120, now+5, "process_start_time_seconds")
	second.between(t, 0.001, 100, "process_cpu_seconds_total")
	if n := second["go_sched_latencies_seconds"].GetMetric()[0].GetHistogram().GetSampleCount(); n == 0 {
		t.Error("no latency was measured")
	}
	name := strings.TrimSuffix(on.name, "-"+strings.TrimPrefix(on.name, "qemu-"))
	if name == "qemu" {
		name = "virtio"
	}
	second.between(t, 1, 1, "tailor_info", "target", name)
	if on.has(ownNetwork) {
		second.between(t, 120<<20, 128<<20, "tailor_memory_size_bytes")
		second.between(t, 1, 1e7, "tailor_doorbells_total", "bell", "idle")
		second.between(t, 0.001, 100, "tailor_idle_seconds_total")
		second.between(t, open, 100, "tailor_tcp_connections")
		if d := second.value(t, "tailor_tcp_opened_total", "side", "accept") - first.value(t, "tailor_tcp_opened_total", "side", "accept"); d < open+2 {
			t.Errorf("%v connections were opened, want %d or more", d, open+2)
		}
		second.between(t, 1, 256, "tailor_virtqueue_depth", "device", "net0", "queue", "0")
		second.between(t, 0, 16, "tailor_virtqueue_depth", "device", "net0", "queue", "1")
		second.between(t, 10, 1e6, "tailor_network_packets_total", "device", "eth0", "direction", "in")
		second.between(t, 1, 1, "tailor_network_up", "device", "eth0")
	}
	if body, err := get(c, "/healthz"); err == nil {
		t.Errorf("the program's own port has /healthz: %q", body)
	}
	for path, want := range map[string]string{"/healthz": "200 ok\n", "/": "404 404 page not found\n", "/debug/pprof/": "404 404 page not found\n"} {
		resp, err := c.Get("http://metrics" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if got := fmt.Sprint(resp.StatusCode, " ", string(body)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestMetricsHostile: clients that send slowly, much, or are many, are bounded and in
// nobody's way.
func TestMetricsHostile(t *testing.T) {
	on := targetHVT(t)
	r := userRoad(t, on)
	c := r.measured(t)
	before := scrape(t, c).value(t, "go_goroutines")
	const many = 200
	var slow []net.Conn
	for range many {
		s, err := r.dialMetrics(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		io.WriteString(s, "GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		slow = append(slow, s)
	}
	// Those that come after a scrape's connection may be so many that it is the
	// oldest and is closed for them.
	var resp *http.Response
	for end := time.Now().Add(limit / 4); resp == nil; {
		var err error
		if resp, err = c.Get(metricsURL); err != nil && (!errors.Is(err, io.EOF) || time.Now().After(end)) {
			t.Fatal(err)
		}
	}
	f := read(t, resp)
	for end := time.Now().Add(limit / 4); f.value(t, "tailor_tcp_connections") > 30 && time.Now().Before(end); f = scrape(t, c) {
		time.Sleep(50 * time.Millisecond)
	}
	f.between(t, before, before+60, "go_goroutines")
	f.between(t, 1, 30, "tailor_tcp_connections")
	big, err := r.dialMetrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	big.SetDeadline(time.Now().Add(limit))
	go io.Copy(big, io.MultiReader(strings.NewReader("GET /metrics HTTP/1.1\r\nHost: x\r\nX-Big: "), io.LimitReader(zeros{}, 1<<20)))
	if answer, _ := io.ReadAll(big); !bytes.HasPrefix(answer, []byte("HTTP/1.1 431 ")) && len(answer) > 0 {
		t.Errorf("a header of a megabyte: %.100q", answer)
	}
	// Those that were not closed to make room are when their time is up.
	for _, s := range slow {
		s.SetDeadline(time.Now().Add(limit))
		io.Copy(io.Discard, s)
	}
	scrape(t, c).between(t, 0, before+10, "go_goroutines")
}

// zeros are zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

// TestMetricsLoss: what a bad link does shows.
func TestMetricsLoss(t *testing.T) {
	r := tapRoad(t, targetHVT(t))
	c := r.measured(t)
	if n := scrape(t, c).value(t, "tailor_tcp_retransmits_total"); n != 0 {
		t.Errorf("%v segments were sent again on a good link", n)
	}
	resp, err := c.Get("http://guest/debug/pprof/trace?seconds=1") // answered while the link is down
	if err == nil {
		defer resp.Body.Close()
		r.ns.ip(t, "link set "+tapName+" down")
		time.Sleep(1500 * time.Millisecond)
		r.ns.ip(t, "link set "+tapName+" up")
		_, err = io.Copy(io.Discard, resp.Body)
	}
	if err != nil {
		t.Fatal(err)
	}
	scrape(t, c).between(t, 1, 1000, "tailor_tcp_retransmits_total")
}

// TestMetricsOfLogs: what is sent to a collector is counted.
func TestMetricsOfLogs(t *testing.T) {
	collector := rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tcp"})
	r := userRoad(t, targetHVT(t))
	at := vmtest.FreePort(t, "tcp")
	img := r.on.buildWith(t, nil, profGuestPkg, "--metrics", "--log", "syslog+tcp")
	r.startImage(t, img, []string{"--metrics", at, "--syslog", strings.Replace(collector.URL, "127.0.0.1", "10.0.2.2", 1)}).expect("ready\n")
	r.guest["metrics"] = at
	collector.AwaitCount(limit, 1)
	f := scrape(t, r.metricsClient(t))
	f.conventional(t, nil)
	f.between(t, 1, 100, "tailor_log_messages_total", "result", "sent")
	f.between(t, 0, 0, "tailor_log_messages_total", "result", "dropped")
	f.between(t, 0, 0, "tailor_log_queue_messages")
	f.between(t, 1, 1, "tailor_log_connections_total")
}

// TestMetricsNotLinked: who asks for figures that are not there learns how to get
// them, from the tool and from an image that another loader starts.
func TestMetricsNotLinked(t *testing.T) {
	on := targetHVT(t)
	run(t, "run", "--metrics", ":9090", on.image(t, netGuestPkg)).want(t, 125, nil, []string{"was built without metrics\n", "hint: rebuild it with: tailor build --metrics github.com/"})
	plain := targets()[len(targets())-1]
	run(t, "run", "-t", "unix", "--metrics", ":9090", plain.image(t, netGuestPkg)).want(t, 125, nil, []string{"was built without metrics\n", "hint: rebuild it with: tailor build --metrics -t unix "})
	run(t, "run", "--metrics", "9090", on.image(t, netGuestPkg)).want(t, 125, nil, []string{"[ADDRESS]:PORT"})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tailor.params"), []byte("metrics=:9090"), 0o666); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "conf.img")
	run(t, "volume", "pack", conf, dir).want(t, 0, nil, nil)
	img := on.buildWith(t, nil, netGuestPkg, "--needs", "conf")
	run(t, "run", "-t", "hvt", "--volume", "conf="+conf+":/conf:ro", img, "hosts").want(t, 125, nil,
		[]string{"boot parameter metrics=:9090: the program was built without metrics; rebuild it with: tailor build --metrics\n"})
}

// TestPprof: net/http/pprof serves every kind of profile, which go tool reads.
func TestPprof(t *testing.T) { each(t, testPprof, computing) }

func testPprof(t *testing.T, on target) {
	_, c := measured(t, on)
	for _, p := range [][2]string{ // in the first two seconds, there comes something for the others
		{"profile?seconds=2", "main.compute"}, {"heap", "main.keep"}, {"goroutine", "main.contend"}, {"block", "main.contend"}, {"mutex", "main.contend"},
	} {
		out := top(t, c, p[0])
		if !strings.Contains(out, p[1]) {
			t.Errorf("%s: no %s in\n%s", p[0], p[1], out)
		}
	}
	if text, err := get(c, "/debug/pprof/trace?seconds=0.2"); err != nil || !strings.HasPrefix(text, "go 1.") {
		t.Errorf("trace: %v, %.30q", err, text)
	}
}

// top returns what go tool pprof finds in a profile of net/http/pprof.
func top(t *testing.T, c *http.Client, profile string) string {
	t.Helper()
	text, err := get(c, "/debug/pprof/"+profile)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", "tool", "pprof", "-top", "-cum", file).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}
