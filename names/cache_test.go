package names

import (
	"strconv"
	"testing"
	"time"
)

func kept(life time.Duration, bytes int) *Answer {
	return &Answer{life: life, msg: make([]byte, bytes)}
}

// TestCacheTime: an answer is there until its time is over.
func TestCacheTime(t *testing.T) {
	c := NewCache(10)
	begin := time.Now()
	a := kept(10*time.Second, 50)
	c.put("a", a, begin)
	c.put("never", kept(0, 50), begin)
	for after, want := range map[time.Duration]*Answer{0: a, 9999 * time.Millisecond: a} {
		if got, age := c.get("a", begin.Add(after)); got != want || age != after {
			t.Errorf("after %v: %v, %v", after, got, age)
		}
	}
	for _, after := range []time.Duration{10 * time.Second, 0} { // once gone, it is gone
		if got, _ := c.get("a", begin.Add(after)); got != nil {
			t.Errorf("it is there after %v", after)
		}
	}
	if n, bytes, _ := c.usage(); n != 0 || bytes != 0 {
		t.Errorf("%d entries, %d bytes", n, bytes)
	}
}

// TestCacheBounds: however many answers come, and however large, the cache keeps those
// that were asked for last, in the room that it has.
func TestCacheBounds(t *testing.T) {
	const room = 100
	now := time.Now()
	for what, size := range map[string]int{"small": 60, "large": 2000, "mixed": 0} {
		c := NewCache(room)
		favourite := kept(time.Hour, 60)
		c.put("favourite", favourite, now)
		for i := range 100_000 {
			n := size
			if n == 0 {
				n = 60 + i*7919%maxKept
			}
			c.put("name "+strconv.Itoa(i%5000), kept(time.Hour, n), now)
			if i%20 == 0 {
				c.get("favourite", now)
			}
			if entries, bytes, _ := c.usage(); entries > room || bytes > room*EntryRoom || entries != len(c.entries) {
				t.Fatalf("%s: %d entries (%d by name), %d bytes", what, entries, len(c.entries), bytes)
			}
		}
		entries, bytes, evicted := c.usage()
		if got, _ := c.get("favourite", now); got != favourite || evicted < 90_000 || entries < 20 {
			t.Errorf("%s: favourite %v; %d entries, %d evicted", what, got, entries, evicted)
		}
		total := 0
		for at := c.order.Front(); at != nil; at = at.Next() {
			total += at.Value.(*entry).size()
		}
		if total != bytes {
			t.Errorf("%s: %d bytes, counted %d", what, total, bytes)
		}
	}
	c := NewCache(room)
	c.put("huge", kept(time.Hour, maxKept+1), now)
	none := NewCache(0)
	none.put("a", kept(time.Hour, 10), now)
	for _, c := range []*Cache{c, none} {
		if n, _, _ := c.usage(); n != 0 {
			t.Errorf("%d entries", n)
		}
	}
}
