package programs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBolt: a bbolt database in a file of the guest's memory. bbolt maps the
// file, and writes to it by descriptor.
func TestBolt(t *testing.T) { each(t, testBolt, "spt") }

func testBolt(t *testing.T, on target) {
	g := on.boot(t, local(t, "boltd"), []string{"8080/tcp"})
	g.answersHTTP(g.url("/"))
	put := func(key, value string) { t.Helper(); curl(t, "-X", "PUT", "--data-binary", value, g.url("/"+key)) }
	post := func(path string) string { t.Helper(); return curl(t, "-X", "POST", g.url(path)) }

	put("b", "two")
	put("a", "one")
	put("c", strings.Repeat("x", 20000)) // more than a page
	want(t, "a value", curl(t, g.url("/a")), "one")
	want(t, "a long value", curl(t, g.url("/c")), strings.Repeat("x", 20000))
	curl(t, "-X", "DELETE", g.url("/c"))
	want(t, "status of a deleted key", curl(t, "-o", "/dev/null", "--no-fail-with-body", "--no-fail", "-w", "%{http_code}", g.url("/c")), "404")

	begin := time.Now()
	post("/fill?n=20000") // the file grows, and is mapped anew
	t.Logf("20,000 keys in one transaction in %v", time.Since(begin).Round(time.Millisecond))
	if sound := post("/check"); !strings.HasPrefix(sound, "sound, ") {
		t.Errorf("the file is %q", sound)
	}
	post("/reopen")
	want(t, "a value of the file opened again", curl(t, g.url("/b")), "two")
	want(t, "a value among many", curl(t, g.url("/fill012345")), fmt.Sprintf("value %d", 12345*12345))
	want(t, "keys in order", curl(t, g.url("/?prefix=fill00000")), func() string {
		var all strings.Builder
		for i := range 10 {
			fmt.Fprintf(&all, "fill%06d=value %d\n", i, i*i)
		}
		return all.String()
	}())
	if sound := post("/check"); !strings.HasPrefix(sound, "sound, ") {
		t.Errorf("the file opened again is %q", sound)
	}
}

// TestBoltBench runs bbolt's own benchmark.
func TestBoltBench(t *testing.T) { each(t, testBoltBench) }

func testBoltBench(t *testing.T, on target) {
	pkg := upstream(t, "go.etcd.io/bbolt", "/cmd/bbolt", "v1.5.0")
	on.boot(t, pkg, nil, "bench", "--count", "20000", "--batch-size", "1000").Wait().Want(t, 0, []string{"# Write\t20000(ops)", "# Read\t"}, nil)
}
