package libos

import (
	"strconv"
	"testing"
)

// TestAddText: contents are made at each open, stay as they were while open, and
// cannot be changed.
func TestAddText(t *testing.T) {
	n := 0
	AddText("/proc/of/test", func() []byte { n++; return []byte("opened " + strconv.Itoa(n)) })
	read := func(f File) string {
		b := make([]byte, 100)
		k, errno := f.Read(b)
		want(t, errno, 0)
		return string(b[:k])
	}
	p, errno := resolve(atFDCWD, "/proc/of/test", followLast)
	want(t, errno, 0)
	first, errno := p.node.Open(0)
	want(t, errno, 0)
	second, errno := p.node.Open(0)
	want(t, errno, 0)
	if a, b := read(first), read(second); a != "opened 1" || b != "opened 2" {
		t.Errorf("%q, %q", a, b)
	}
	before := memBudget.used.Load()
	want(t, first.Close(), 0)
	want(t, second.Close(), 0)
	if after := memBudget.used.Load(); after != before-2*minChunk {
		t.Errorf("closing frees %d bytes, not %d", before-after, 2*minChunk)
	}
	for _, flags := range []uint32{oWRONLY, oRDWR} {
		_, errno = p.node.Open(flags)
		want(t, errno, EACCES)
	}
	want(t, p.setAttr(SetSize, &Attr{}), EINVAL)
}
