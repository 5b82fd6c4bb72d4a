package names

import (
	"container/list"
	"sync"
	"time"
)

// A Cache keeps answers for as long as they may be kept, and no more of them than it has
// room for: the one that was longest not asked for goes first. Its methods may be called
// by several goroutines at once.
type Cache struct {
	maxEntries, maxBytes int

	mu      sync.Mutex
	entries map[string]*list.Element
	order   list.List // of *entry, the one asked for last in front
	bytes   int
	evicted uint64
}

// An entry is an answer and when it came.
type entry struct {
	key  string
	a    *Answer
	came time.Time
}

// entryCost is what an entry takes beside its key and its message, in bytes.
const entryCost = 256

// EntryRoom is the room that a cache has for each entry, in bytes: an answer with a few
// addresses takes half of it.
const EntryRoom = 768

// maxKept bounds the message of an entry, in bytes.
const maxKept = 4096

// NewCache returns a cache for a number of entries, which take [EntryRoom] bytes each on
// average. It may be 0.
func NewCache(entries int) *Cache {
	return &Cache{maxEntries: entries, maxBytes: entries * EntryRoom, entries: map[string]*list.Element{}}
}

func (e *entry) size() int { return 2*len(e.key) + len(e.a.msg) + entryCost }

// get returns the answer for a key, and how old it is; nil if there is none.
func (c *Cache) get(key string, now time.Time) (a *Answer, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.entries[key]
	if at == nil {
		return nil, 0
	}
	e := at.Value.(*entry)
	if age = now.Sub(e.came); age >= e.a.life || age < 0 {
		c.remove(at)
		return nil, 0
	}
	c.order.MoveToFront(at)
	return e.a, age
}

// put keeps an answer that came now, if it may be kept and there is room for such.
func (c *Cache) put(key string, a *Answer, now time.Time) {
	e := &entry{key, a, now}
	if a.life <= 0 || len(a.msg) > maxKept || e.size() > c.maxBytes {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.entries[key]; at != nil {
		c.remove(at)
	}
	for c.order.Len() >= c.maxEntries || c.bytes+e.size() > c.maxBytes {
		c.remove(c.order.Back())
		c.evicted++
	}
	c.entries[key] = c.order.PushFront(e)
	c.bytes += e.size()
}

func (c *Cache) remove(at *list.Element) {
	e := c.order.Remove(at).(*entry)
	delete(c.entries, e.key)
	c.bytes -= e.size()
}

// usage returns what is in the cache, and how many answers had to make room.
func (c *Cache) usage() (entries, bytes int, evicted uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len(), c.bytes, c.evicted
}
