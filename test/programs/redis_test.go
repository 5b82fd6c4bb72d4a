package programs

import (
	"encoding/csv"
	"strconv"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

// TestRedis: the Redis protocol by miniredis, under redis-cli and redis-benchmark.
func TestRedis(t *testing.T) { each(t, testRedis, "spt") }

func testRedis(t *testing.T, on target) {
	cli := xtest.NeedCommand(t, "redis-cli", "redis-tools")
	bench := xtest.NeedCommand(t, "redis-benchmark", "redis-tools")
	g := on.boot(t, local(t, "redisd"), []string{"6379/tcp"})
	g.answers(func() error { return exchange(g.addrs["6379/tcp"], "*1\r\n$4\r\nPING\r\n", "+PONG") })
	port := g.port("6379/tcp")

	for _, c := range [][2]string{
		{"set key value", "OK"},
		{"get key", "value"},
		{"append key s", "6"},
		{"rpush list a b c", "3"},
		{"lrange list 0 -1", "a\nb\nc"},
		{"zadd z 2 two 1 one", "2"},
		{"zrange z 0 -1", "one\ntwo"},
		{"expire key 100", "1"},
		{"ttl key", "100"},
		{"get nothing", ""},
		{"incr list", "WRONGTYPE Operation against a key holding the wrong kind of value"},
	} {
		want(t, c[0], strings.TrimSpace(client(t, cli, append([]string{"-p", port}, strings.Fields(c[0])...)...)), c[1])
	}
	script := "local n = 0 for i = 1, 1000 do n = redis.call('incr', KEYS[1]) end return n"
	want(t, "a Lua script", strings.TrimSpace(client(t, cli, "-p", port, "eval", script, "1", "counter")), "1000")

	for _, args := range [][]string{
		{"-n", "10000", "-c", "50", "-t", "ping_mbulk,set,get,incr,sadd,hset"},
		{"-n", "50000", "-c", "50", "-P", "16", "-t", "set,get"},
	} {
		out := client(t, bench, append([]string{"-p", port, "--csv"}, args...)...)
		rates(t, strings.Join(args, " "), out)
	}
	// Every increment of the benchmark was counted.
	want(t, "the benchmark's counter", strings.TrimSpace(client(t, cli, "-p", port, "get", "counter:__rand_int__")), "10000")
}

// rates logs the rates that redis-benchmark tells; each must be above zero.
func rates(t *testing.T, what, text string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) < 2 {
		t.Fatalf("redis-benchmark %s printed %q: %v", what, text, err)
	}
	for _, row := range rows[1:] {
		rate, err := strconv.ParseFloat(row[1], 64)
		if err != nil || rate <= 0 {
			t.Errorf("%s: %s: rate %q", what, row[0], row[1])
		}
		t.Logf("%s: %.0f %s requests/s", what, rate, row[0])
	}
}
