package main

import (
	"errors"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/xtest"
)

func TestQuantile(t *testing.T) {
	tests := []struct {
		samples []float64
		q, want float64
	}{
		{nil, 0.5, math.NaN()},
		{[]float64{7}, 0.5, 7},
		{[]float64{7}, 1, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{[]float64{4, 1, 3, 2}, 0.5, 2.5},
		{[]float64{10, 0}, 0.25, 2.5},
		{[]float64{5, 1, 9}, 0, 1},
		{[]float64{5, 1, 9}, 1, 9},
	}
	for _, tt := range tests {
		got := quantile(tt.samples, tt.q)
		if got != tt.want && !(math.IsNaN(got) && math.IsNaN(tt.want)) {
			t.Errorf("quantile(%v, %v) = %v, want %v", tt.samples, tt.q, got, tt.want)
		}
	}
	if r := ratio([]float64{3}, []float64{2}); r != 1.5 {
		t.Errorf("ratio of 3 to 2 is %v", r)
	}
	if r := ratio([]float64{3}, []float64{0}); !math.IsNaN(r) {
		t.Errorf("ratio to nothing is %v", r)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.00456: "0.00456", 0.5: "0.5", 1.234: "1.23", 12: "12", 12.34: "12.3", 123.4: "123", 82123.6: "82124", math.NaN(): "",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestVerdict(t *testing.T) {
	tests := []struct {
		m    measure
		goal string
		want string
	}{
		{measure{vm: []float64{12}, goal: atMost(12)}, "at most 12 u", "yes"},
		{measure{vm: []float64{12.1}, goal: atMost(12)}, "at most 12 u", "**no**"},
		{measure{vm: []float64{8}, goal: atLeast(8)}, "at least 8 u", "yes"},
		{measure{vm: []float64{7.9}, goal: atLeast(8)}, "at least 8 u", "**no**"},
		{measure{vm: []float64{5}, plain: []float64{10}, goal: atLeastRatio(0.5)}, "at least 0.5x", "yes"},
		{measure{vm: []float64{4}, plain: []float64{10}, goal: atLeastRatio(0.5)}, "at least 0.5x", "**no**"},
		{measure{vm: []float64{4}, goal: atLeastRatio(0.5)}, "at least 0.5x", "**no**"},
		{measure{goal: atMost(1)}, "at most 1 u", "not measured"},
		{measure{vm: []float64{4}}, "", ""},
	}
	for _, tt := range tests {
		if got := tt.m.verdict(); got != tt.want || tt.m.goal.text("u") != tt.goal {
			t.Errorf("%+v: %q, goal %q, want %q, %q", tt.m, got, tt.m.goal.text("u"), tt.want, tt.goal)
		}
	}
}

func TestOutput(t *testing.T) {
	all := []*measure{
		{name: "Start", what: "start", unit: "ms", vm: []float64{2, 3, 10}, plain: []float64{1.5}, goal: atMost(4)},
		{name: "Rate", what: "rate", unit: "Gbit/s", vm: []float64{8}},
	}
	all[1].note("%d exits", 3)
	var table, lines strings.Builder
	writeTable(&table, all)
	for _, want := range []string{
		"| start | at most 4 ms | 3 ms (2.5-6.5) | 1.5 ms | 2x | yes |\n",
		"| rate |  | 8 Gbit/s |  |  |  |\n",
		"\n- rate: 3 exits\n",
	} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, &table)
		}
	}
	writeLines(&lines, all)
	const want = "BenchmarkStart/vm 1 2000000 ns/op\nBenchmarkStart/vm 1 3000000 ns/op\nBenchmarkStart/vm 1 10000000 ns/op\n" +
		"BenchmarkStart/plain 1 1500000 ns/op\nBenchmarkRate/vm 1 1000 MB/s\n"
	if lines.String() != want {
		t.Errorf("benchmark lines:\n%s\nwant:\n%s", &lines, want)
	}
}

const wrkOutput = `Running 3s test @ http://192.0.2.2/
  1 threads and 50 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.92ms    3.98ms  27.70ms   89.50%
    Req/Sec    11.79k     3.38k   18.37k    62.50%
  Latency Distribution
     50%  830.00us
     75%    5.52ms
     90%    8.48ms
     99%    1.02s
  35208 requests in 3.10s, 33.48MB read
Requests/sec:  11357.63
Transfer/sec:     10.80MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk(wrkOutput)
	if want := (load{11357.63, 0.83, 1020}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{
		"", "Requests/sec: 0.00\n",
		wrkOutput + "  Non-2xx or 3xx responses: 3\n",
		wrkOutput + "  Socket errors: connect 0, read 0, write 0, timeout 5\n",
	} {
		if l, err := parseWrk(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, l)
		}
	}
}

func TestParseStats(t *testing.T) {
	got, err := parseStats("tailor: exit code 0; 23 VM exits, 13 notifications, 9 times idle; set up in 17.3ms, first notification after 5µs\ntailor: more\n")
	want := vmStats{23, 13, 9, 17300 * time.Microsecond, 5 * time.Microsecond}
	if err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if s, err := parseStats("tailor: exit code 0\n"); err == nil {
		t.Errorf("nothing is taken for %v", s)
	}
}

func TestSmallest(t *testing.T) {
	for want := 2; want <= 64; want += 2 {
		got, err := smallest(2, 64, func(mib int) (bool, error) { return mib >= want, nil })
		if err != nil || got != want {
			t.Errorf("got %d, %v, want %d", got, err, want)
		}
	}
	if got, err := smallest(2, 64, func(int) (bool, error) { return false, nil }); err == nil {
		t.Errorf("never works, got %d", got)
	}
	broken := errors.New("broken")
	if _, err := smallest(2, 64, func(mib int) (bool, error) { return true, map[bool]error{true: broken}[mib < 64] }); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

// TestBench measures everything that is quick to measure once, so that the
// benchmarks do not rot, and looks for what they should have removed.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	xtest.NeedKVM(t)
	once(t, "start|answer|size|http|^bulk|ping|idle|files|encrypted", time.Second)
}

// TestTLS does the same beside OpenSSL.
func TestTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	xtest.NeedKVM(t)
	xtest.NeedCommand(t, "openssl", "openssl")
	once(t, "tlsbulk|handshakes", 200*time.Millisecond)
}

// TestQEMU does the same under QEMU.
func TestQEMU(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	xtest.NeedCommand(t, "qemu-system-x86_64", "qemu-system-x86")
	xtest.NeedCommand(t, "nasm", "nasm")
	once(t, "^qemu$", time.Second)
}

// once measures the groups that match once, with loads of that length.
func once(t *testing.T, groups string, load time.Duration) {
	xtest.NeedTun(t)
	xtest.NeedCommand(t, "ip", "iproute2")
	xtest.NeedCommand(t, "ping", "iputils-ping")
	xtest.NeedCommand(t, "wrk", "wrk")
	xtest.NeedCommand(t, "taskset", "util-linux")
	b, err := newBench(t.Context(), effort{starts: 1, rounds: 1, load: load, idle: 200 * time.Millisecond, pings: 4, rebuild: 1}, "hvt")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { checkRemoved(t, b) })
	t.Cleanup(b.close)
	if err := b.measure(t.Context(), regexp.MustCompile(groups)); err != nil {
		t.Error(err)
	}
	for _, m := range b.measures {
		for _, v := range append(m.vm, m.plain...) {
			if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
				t.Errorf("%s: measured %v %s", m.name, v, m.unit)
			}
		}
		if len(m.vm) == 0 {
			t.Errorf("%s was not measured", m.name)
		}
	}
}

// A Linux's initramfs is read by the same format's rules: headers of 110 bytes and
// what they say, on multiples of four.
func TestInitramfs(t *testing.T) {
	data := []byte("program")
	b := initramfs(data)
	var names []string
	for len(b) > 0 {
		if len(b) < 110 || string(b[:6]) != "070701" {
			t.Fatalf("no header at %.20q", b)
		}
		field := func(n int) int {
			v, err := strconv.ParseUint(string(b[6+8*n:14+8*n]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
		size, end := field(6), 110+field(11)
		name := string(b[110 : end-1])
		end = (end + 3) &^ 3
		if name == "init" && string(b[end:end+size]) != string(data) {
			t.Errorf("init has %q", b[end:end+size])
		}
		names = append(names, name)
		b = b[(end+size+3)&^3:]
	}
	if got := strings.Join(names, " "); got != "dev dev/console init TRAILER!!!" {
		t.Errorf("the archive has %s", got)
	}
}

func checkRemoved(t *testing.T, b *bench) {
	for _, ns := range []string{b.net.client, b.net.server} {
		if _, err := os.Stat("/run/netns/" + ns); err == nil {
			t.Errorf("namespace %s is left behind", ns)
		}
	}
	if _, err := os.Stat(b.dir); err == nil {
		t.Errorf("%s is left behind", b.dir)
	}
}
