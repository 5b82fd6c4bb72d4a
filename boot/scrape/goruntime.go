package scrape

import (
	"math"
	"runtime"
	"runtime/debug"
	rtm "runtime/metrics"
	"strings"
	"time"

	"github.com/tailor-os/tailor/metrics"
)

// What Go's runtime says, under the names that Prometheus' own client for Go gives,
// so that dashboards made for that fit.

func init() {
	metrics.Register(goRuntime)
	metrics.Register(func(w *metrics.Writer) {
		w.Gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.").Add(seconds(started))
		w.Counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.").Add(cpuTime().Seconds())
	})
}

// started is when the program was.
var started = time.Now()

// A figure is the sum of some of the runtime's.
type figure struct {
	name, help string
	of         []string // of package runtime/metrics
}

const (
	objects  = "/memory/classes/heap/objects:bytes"
	unused   = "/memory/classes/heap/unused:bytes"
	free     = "/memory/classes/heap/free:bytes"
	released = "/memory/classes/heap/released:bytes"

	latencies = "/sched/latencies:seconds"
)

// figures are those that are one number. The names of counters end in _total.
var figures = []figure{
	{"go_goroutines", "Number of goroutines that currently exist.", []string{"/sched/goroutines:goroutines"}},
	{"go_sched_gomaxprocs_threads", "The current runtime.GOMAXPROCS setting.", []string{"/sched/gomaxprocs:threads"}},
	{"go_gc_gogc_percent", "Heap size target percentage configured by the user, otherwise 100.", []string{"/gc/gogc:percent"}},
	{"go_gc_gomemlimit_bytes", "Go runtime memory limit configured by the user, otherwise math.MaxInt64.", []string{"/gc/gomemlimit:bytes"}},
	{"go_memstats_alloc_bytes", "Number of bytes allocated in heap and currently in use.", []string{objects}},
	{"go_memstats_alloc_bytes_total", "Total number of bytes allocated in heap until now, even if released already.", []string{"/gc/heap/allocs:bytes"}},
	{"go_memstats_mallocs_total", "Total number of heap objects allocated, both live and gc-ed.", []string{"/gc/heap/allocs:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_frees_total", "Total number of heap objects frees.", []string{"/gc/heap/frees:objects", "/gc/heap/tiny/allocs:objects"}},
	{"go_memstats_heap_alloc_bytes", "Number of heap bytes allocated and currently in use.", []string{objects}},
	{"go_memstats_heap_inuse_bytes", "Number of heap bytes that are in use.", []string{objects, unused}},
	{"go_memstats_heap_idle_bytes", "Number of heap bytes waiting to be used.", []string{free, released}},
	{"go_memstats_heap_released_bytes", "Number of heap bytes released to OS.", []string{released}},
	{"go_memstats_heap_sys_bytes", "Number of heap bytes obtained from system.", []string{objects, unused, free, released}},
	{"go_memstats_heap_objects", "Number of currently allocated objects.", []string{"/gc/heap/objects:objects"}},
	{"go_memstats_next_gc_bytes", "Number of heap bytes when next garbage collection will take place.", []string{"/gc/heap/goal:bytes"}},
	{"go_memstats_stack_inuse_bytes", "Number of bytes obtained from system for stack allocator.", []string{"/memory/classes/heap/stacks:bytes"}},
	{"go_memstats_sys_bytes", "Number of bytes obtained from system.", []string{"/memory/classes/total:bytes"}},
}

func goRuntime(w *metrics.Writer) {
	w.Gauge("go_info", "Information about the Go environment.").Add(1, "version", runtime.Version())
	for _, f := range figures {
		v := 0.0
		for _, s := range read(f.of...) {
			if s.Value.Kind() == rtm.KindUint64 {
				v += float64(s.Value.Uint64())
			}
		}
		family := w.Gauge
		if strings.HasSuffix(f.name, "_total") {
			family = w.Counter
		}
		family(f.name, f.help).Add(v)
	}
	var gc debug.GCStats
	gc.PauseQuantiles = make([]time.Duration, 5)
	debug.ReadGCStats(&gc)
	var pauses []float64
	for _, d := range gc.PauseQuantiles {
		pauses = append(pauses, d.Seconds())
	}
	w.Summary("go_gc_duration_seconds", "A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.",
		pauses, gc.PauseTotal.Seconds(), uint64(gc.NumGC))
	last := 0.0
	if !gc.LastGC.IsZero() {
		last = seconds(gc.LastGC)
	}
	w.Gauge("go_memstats_last_gc_time_seconds", "Number of seconds since 1970 of last garbage collection.").Add(last)
	for _, s := range read(latencies) {
		if s.Value.Kind() == rtm.KindFloat64Histogram {
			buckets, sum := coarse(s.Value.Float64Histogram())
			w.Histogram("go_sched_latencies_seconds", "For how long goroutines could run before they did: with one processor, the lag of the event loop. The sum is estimated.", buckets, sum)
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func read(names ...string) []rtm.Sample {
	list := make([]rtm.Sample, len(names))
	for i, name := range names {
		list[i].Name = name
	}
	rtm.Read(list)
	return list
}

// coarse puts the runtime's hundreds of buckets into powers of ten from a
// microsecond to ten seconds. The sum takes an observation for the middle of its
// bucket.
func coarse(h *rtm.Float64Histogram) (buckets []metrics.Bucket, sum float64) {
	for p := -6; p <= 1; p++ {
		buckets = append(buckets, metrics.Bucket{Max: math.Pow10(p)})
	}
	buckets = append(buckets, metrics.Bucket{Max: math.Inf(1)})
	at := 0
	for i, n := range h.Counts {
		low, high := max(h.Buckets[i], 0), h.Buckets[i+1]
		if math.IsInf(high, 1) {
			high = low
		}
		middle := (low + high) / 2
		for middle > buckets[at].Max {
			at++
		}
		buckets[at].Count += n
		sum += float64(n) * middle
	}
	return buckets, sum
}
