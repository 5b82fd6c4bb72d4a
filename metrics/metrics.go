// Package metrics writes figures in the text format that Prometheus reads, version
// 0.0.4 (github.com/prometheus/docs, "Exposition formats"), and is where the
// system's parts register theirs. Names follow Prometheus' conventions: base units
// (seconds, bytes), counters end in _total.
//
// It imports nothing of package net and little else, so that what lies beneath net
// can have figures, and parts that are linked without anything that serves figures
// cost little.
package metrics

import (
	"math"
	"strconv"
	"sync"
)

// ContentType is the media type of what a [Writer] makes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// A Source writes the figures of a part of the system. It is called for each time
// that somebody asks, by one goroutine at a time, and must not block for long.
type Source func(w *Writer)

var registered struct {
	sync.Mutex
	list []Source
}

// Register adds a source to all that [Write] asks, after those that are there. It
// is for init functions and safe for concurrent use. No two sources may write
// families of the same name.
func Register(s Source) {
	registered.Lock()
	defer registered.Unlock()
	registered.list = append(registered.list, s)
}

// Write asks all sources, one goroutine at a time, and returns what they say.
func Write() []byte {
	registered.Lock()
	defer registered.Unlock()
	var w Writer
	for _, s := range registered.list {
		s(&w)
	}
	return w.b
}

// A Writer makes the text. The zero Writer is ready; it is for one goroutine.
type Writer struct{ b []byte }

// Bytes returns the text so far.
func (w *Writer) Bytes() []byte { return w.b }

// A Family is the samples of one name. All of them are written before the next
// family begins.
type Family struct {
	w    *Writer
	name string
}

// Gauge begins a family of values that go up and down. help is one line.
func (w *Writer) Gauge(name, help string) Family { return w.family(name, "gauge", help) }

// Counter begins a family of values that only grow, until the program starts anew.
// Its name ends in _total.
func (w *Writer) Counter(name, help string) Family { return w.family(name, "counter", help) }

func (w *Writer) family(name, kind, help string) Family {
	w.add("# HELP ", name, " ")
	w.escape(help, false)
	w.add("\n# TYPE ", name, " ", kind, "\n")
	return Family{w, name}
}

// Add writes a sample. labels are names and values in turn.
func (f Family) Add(v float64, labels ...string) Family {
	f.w.sample(f.name, "", v, labels)
	return f
}

func (w *Writer) add(parts ...string) {
	for _, p := range parts {
		w.b = append(w.b, p...)
	}
}

func (w *Writer) sample(name, suffix string, v float64, labels []string) {
	w.add(name, suffix)
	for i := 0; i+1 < len(labels); i += 2 {
		sep := ","
		if i == 0 {
			sep = "{"
		}
		w.add(sep, labels[i], `="`)
		w.escape(labels[i+1], true)
		w.add(`"`)
	}
	if len(labels) > 1 {
		w.add("}")
	}
	w.add(" ")
	w.b = append(number(w.b, v), '\n')
}

// number appends v as Go's ParseFloat reads it.
func number(b []byte, v float64) []byte {
	if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
		return strconv.AppendInt(b, int64(v), 10)
	}
	return strconv.AppendFloat(b, v, 'g', -1, 64)
}

// escape writes a text: backslash and line feed, and in a label's value double
// quotes, behind a backslash.
func (w *Writer) escape(s string, quotes bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			w.add(`\n`)
		case c == '\\' || quotes && c == '"':
			w.b = append(w.b, '\\', c)
		default:
			w.b = append(w.b, c)
		}
	}
}

// A Bucket is how many observations of a [Writer.Histogram] were at most Max, and
// more than the Max of the bucket before.
type Bucket struct {
	Max   float64 // +Inf in the last
	Count uint64
}

// Histogram writes a family of one histogram. Buckets are in ascending order, sum
// is that of all observations.
func (w *Writer) Histogram(name, help string, buckets []Bucket, sum float64) {
	w.family(name, "histogram", help)
	n := uint64(0)
	for _, b := range buckets {
		n += b.Count
		w.sample(name, "_bucket", float64(n), []string{"le", string(number(nil, b.Max))})
	}
	w.sample(name, "_sum", sum, nil)
	w.sample(name, "_count", float64(n), nil)
}

// Summary writes a family of one summary: quantiles are evenly spaced from 0 to 1.
func (w *Writer) Summary(name, help string, quantiles []float64, sum float64, count uint64) {
	w.family(name, "summary", help)
	for i, v := range quantiles {
		q := float64(i) / float64(max(len(quantiles)-1, 1))
		w.sample(name, "", v, []string{"quantile", string(number(nil, q))})
	}
	w.sample(name, "_sum", sum, nil)
	w.sample(name, "_count", float64(count), nil)
}

// Bool is 1 for true, as a gauge has it.
func Bool(v bool) float64 {
	if v {
		return 1
	}
	return 0
}
