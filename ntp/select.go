package ntp

import (
	"cmp"
	"slices"
	"time"
)

// Choose returns the best of the samples of different servers: of the largest number
// of them whose errors allow for the same time, the one that can be the least wrong.
// ok is false if those are not more than half of all: then some lie, and nobody
// knows who. It is the intersection of RFC 5905 section 11.2.1, without the demand
// that middles be in it, which with few servers leaves none.
func Choose(list []Sample) (best Sample, ok bool) {
	type edge struct {
		at    time.Duration
		first bool // of an interval
	}
	var edges []edge
	for _, s := range list {
		edges = append(edges, edge{s.Offset - s.Distance, true}, edge{s.Offset + s.Distance, false})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if a.at == b.at && a.first != b.first { // intervals that touch do overlap
			if a.first {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.at, b.at)
	})
	n, most, where := 0, 0, time.Duration(0)
	for _, e := range edges {
		if !e.first {
			n--
			continue
		}
		if n++; n > most {
			most, where = n, e.at
		}
	}
	if most == 0 || 2*most <= len(list) {
		return best, false
	}
	for _, s := range list {
		if s.Offset-s.Distance <= where && where <= s.Offset+s.Distance && (!ok || s.Distance < best.Distance) {
			best, ok = s, true
		}
	}
	return best, ok
}
