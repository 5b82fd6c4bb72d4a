package scrape

import (
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	rtm "runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// TestText: Prometheus' parser reads what a plain process serves.
func TestText(t *testing.T) {
	w := httptest.NewRecorder()
	handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.UTF8Validation)
	got, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go_goroutines", "go_info", "go_gc_duration_seconds", "go_sched_latencies_seconds", "process_cpu_seconds_total", "tailor_info"} {
		if got[name] == nil {
			t.Errorf("no %s", name)
		}
	}
	if v := got["go_memstats_heap_inuse_bytes"].GetMetric()[0].GetGauge().GetValue(); v < 100e3 {
		t.Errorf("a heap of %v bytes", v)
	}
	w = httptest.NewRecorder()
	handler().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", strings.NewReader("x")))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

// TestNames: the runtime has every figure that is asked for.
func TestNames(t *testing.T) {
	for _, f := range append(figures, figure{of: []string{latencies}}) {
		for _, s := range read(f.of...) {
			if s.Value.Kind() == rtm.KindBad {
				t.Errorf("%s: no %s", f.name, s.Name)
			}
		}
	}
}

func TestCoarse(t *testing.T) {
	inf := math.Inf(1)
	buckets, sum := coarse(&rtm.Float64Histogram{
		Counts:  []uint64{1, 2, 3, 4},
		Buckets: []float64{math.Inf(-1), 1e-7, 1e-3, 20, inf},
	})
	counts := map[float64]uint64{}
	total := uint64(0)
	for _, b := range buckets {
		counts[b.Max] = b.Count
		total += b.Count
	}
	if counts[1e-6] != 1 || counts[1e-3] != 2 || counts[inf] != 7 || total != 10 || sum < 110 || sum > 111 {
		t.Errorf("%v, %v", buckets, sum)
	}
}

// TestBounded: the oldest connection makes room for one more.
func TestBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go serve(l)
	var open []net.Conn
	for range 3 * maxConns {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	last := open[len(open)-1]
	last.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(last, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	if answer, err := io.ReadAll(last); err != nil || !strings.HasSuffix(string(answer), "ok\n") {
		t.Errorf("%q, %v", answer, err)
	}
	for i, c := range open[:len(open)-1] {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if gone := len(open) - maxConns; i >= gone {
			c.SetDeadline(time.Now().Add(10 * time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); err == io.EOF {
				t.Errorf("connection %d was closed", i)
			}
		} else if _, err := c.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "reset") && err != io.EOF {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}
