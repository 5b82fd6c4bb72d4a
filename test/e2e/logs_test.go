package e2e

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/rsyslogtest"
)

const logGuest = "./testdata/logguest"

// logging returns a collector over TLS, with certificates on both sides, the image
// of a program that can use it, and the flags that make it do so.
func logging(t *testing.T, on target) (r *rsyslogtest.Collector, img string, flags []string) {
	t.Helper()
	certs := rsyslogtest.NewCerts(t)
	r = rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tls", Certs: certs})
	if on.build == build.Unix {
		img = on.buildWith(t, nil, logGuest, "--log", "syslog+tls")
		return r, img, []string{"--syslog", r.URL,
			"--param", "syslog-roots=" + certs.Roots, "--param", "syslog-cert=" + certs.ClientCert, "--param", "syslog-key=" + certs.ClientKey}
	}
	img = on.buildWith(t, nil, logGuest, "--log", "syslog+tls", "--needs", "secrets")
	return r, img, []string{"--syslog", strings.Replace(r.URL, "127.0.0.1", "10.0.2.2", 1), "--secret", "syslog-roots.pem=" + certs.Roots,
		"--secret", "syslog-cert.pem=" + certs.ClientCert, "--secret", "syslog-key.pem=" + certs.ClientKey}
}

// TestLogs: what a program writes is on its console as ever, and in the file of a
// collector, to the last line.
func TestLogs(t *testing.T) { each(t, testLogs) }

func testLogs(t *testing.T, on target) {
	r, img, flags := logging(t, on)
	long := strings.Repeat("0123456789abcdef", 1<<16)
	host := "10.0.2.15"
	if on.build == build.Unix {
		host, _ = os.Hostname()
	}
	res := on.run(t, append(append(flags, "--param", "syslog-facility=local3", "--param", "syslog-app=web"), img, "all")...)
	stdout := strings.Replace(res.stdout, long, "LONG", 1)
	res.want(t, 3, nil, []string{"by log\n", "ERROR by slog user=\"a \\\"b\\\" ]\" n=7 err=bad\nWARN slow id=1 req.path=/\n<2>critical\n"})
	if want := "early\nin two pieces 6\n"; !strings.HasPrefix(stdout, want) || !strings.HasSuffix(stdout, "a\tb\x00c\x1b[31md\nLONG\nno end") {
		t.Errorf("the console had:\n%.2000q", stdout)
	}
	lines := r.AwaitCount(limit, 10)
	pid := regexp.MustCompile(`\|web\|\d+\|`)
	var got []string
	for _, l := range lines {
		rest, ok := strings.CutPrefix(pid.ReplaceAllString(l, "|"), "1")
		rest = rest[:2] + strings.TrimPrefix(rest[2:], "|"+host)
		if text, found := strings.CutPrefix(rest, "58|-|"+long[:8000]); ok && found && strings.HasPrefix(long, text) {
			rest = "58|-|LONG"
		}
		got = append(got, rest)
	}
	want := []string{
		"58|-|early", "58|-|in two pieces 6", "58|-|by log",
		`55|[attrs@32473 user="a \"b\" \]" n="7" err="bad"]|by slog`,
		`56|[attrs@32473 id="1" req.path="/"]|slow`,
		"56|-|JSON", "54|-|critical", "58|-|a#011b#000c#033[31md", "58|-|LONG", "58|-|no end",
	}
	for i := range got {
		if strings.HasPrefix(got[i], `56|-|{"time":"`) && strings.HasSuffix(got[i], `,"level":"WARN","msg":"json","a":1}`) {
			got[i] = "56|-|JSON"
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the collector has\n%.3000s\nwant\n%s\nas it wrote them\n%.2000s", strings.Join(got, "\n"), strings.Join(want, "\n"), strings.Join(lines, "\n"))
	}
}

// TestLogsInTheClear: the last lines of a program leave its machine by every
// transport, as a rule also in the datagrams that nobody acknowledges.
func TestLogsInTheClear(t *testing.T) { each(t, testLogsInTheClear, ownNetwork) }

func testLogsInTheClear(t *testing.T, on target) {
	img := on.buildWith(t, nil, logGuest, "--log", "syslog+udp", "--log", "syslog+tcp")
	for _, way := range []string{"udp", "tcp lines"} {
		transport, framing, _ := strings.Cut(way, " ")
		r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: transport})
		flags := []string{"--syslog", strings.Replace(r.URL, "127.0.0.1", "10.0.2.2", 1)}
		if framing != "" {
			flags = append(flags, "--param", "syslog-framing="+framing)
		}
		var lines []string
		for try := 0; len(lines) < 10 && (try == 0 || transport == "udp" && try < 5); try++ {
			// Datagrams may be lost, and are where a loaded host ends the machine
			// before it has passed them on.
			lines = on.logged(t, r, append(flags, img, "all"))
		}
		if len(lines) != 10 || !strings.HasSuffix(lines[9], "|no end") || !strings.HasSuffix(lines[3], "by slog") {
			t.Errorf("%s: %.2000q", way, lines)
		}
	}
}

// logged runs a program and returns what the collector has of this run.
func (on target) logged(t *testing.T, r *rsyslogtest.Collector, line []string) []string {
	t.Helper()
	before := len(r.Lines())
	on.run(t, line...).want(t, 3, []string{"early\n"}, nil)
	return r.AwaitCount(5*time.Second, before+10)[before:]
}

// TestLogsMany: 100,000 lines as fast as a program writes them. What the collector
// does not have was counted.
func TestLogsMany(t *testing.T) {
	for _, on := range []target{targetHVT(t), targetSPT(t)} {
		r, img, flags := logging(t, on)
		const n = 100_000
		p := setting{limit: 4 * limit}.start(t, on.line(append(flags, img, "many", strconv.Itoa(n))...)...)
		res := p.wait()
		if c := strings.Count(res.stderr, " line "); res.code != 0 || c != n {
			t.Fatalf("exit code %d, %d lines on the console: %s", res.code, c, clip(res.stderr[max(0, len(res.stderr)-500):]))
		}
		dropped := 0
		for _, m := range regexp.MustCompile(`tailor: syslog: (\d+) messages were dropped`).FindAllStringSubmatch(res.stderr, -1) {
			d, _ := strconv.Atoi(m[1])
			dropped += d
		}
		received := func(lines []string) (n int) {
			for _, l := range lines {
				if strings.Contains(l, " line ") {
					n++
				}
			}
			return n
		}
		got := received(r.Await(10*time.Second, func(lines []string) bool { return received(lines)+dropped >= n }))
		t.Logf("%s: %d lines in %v, %.0f a second: %d received, %d dropped", on.name, n, res.took, n/res.took.Seconds(), got, dropped)
		if got+dropped != n {
			t.Errorf("%s: %d received and %d dropped of %d", on.name, got, dropped, n)
		}
	}
}

// TestLogsCollectorAway: a program goes on without its collector, which later has
// what was written meanwhile.
func TestLogsCollectorAway(t *testing.T) {
	on := targetHVT(t)
	r, img, flags := logging(t, on)
	in, out := io.Pipe()
	p := on.start(t, in, append(flags, img, "stdin")...)
	has := func(text string) {
		t.Helper()
		fmt.Fprintln(out, text)
		r.Await(limit, func(lines []string) bool { return len(lines) > 0 && strings.HasSuffix(lines[len(lines)-1], "|"+text) })
	}
	has("before")
	r.Kill()
	p.said(t, "tailor: syslog: cannot send to tls://10.0.2.2:")
	for i := range 100 {
		fmt.Fprintln(out, "during", i)
	}
	p.expect("during 99\n")
	r.Run()
	p.said(t, "again\n")
	has("after")
	out.Close()
	res := p.wait()
	res.want(t, 0, []string{"before\nduring 0\n", "after\n"}, nil)
	lines := r.AwaitCount(limit, 103)
	if n := len(lines); n != 103 || strings.Count(res.stderr, "cannot send") != 1 {
		t.Errorf("%d lines, want 103; said:\n%s", n, res.stderr)
	}
}

// TestLogsRefused: a collector that cannot show a certificate of the given roots
// gets nothing, which is said once; the program runs and has its console.
func TestLogsRefused(t *testing.T) {
	on := targetHVT(t)
	r, img, flags := logging(t, on)
	others := rsyslogtest.NewCerts(t)
	flags[3] = "syslog-roots.pem=" + others.Roots
	res := on.run(t, append(flags, img, "all")...)
	res.want(t, 3, []string{"early\n"}, []string{"by log\n", "tailor: syslog: cannot send to tls://10.0.2.2:", "unknown authority", "messages could not be sent"})
	if lines := r.Lines(); len(lines) > 0 || strings.Count(res.stderr, "cannot send") != 1 {
		t.Errorf("%q arrived; said\n%s", lines, res.stderr)
	}
}

// TestLogsNotLinked: an image says what it has, and how to get what it has not.
func TestLogsNotLinked(t *testing.T) {
	on := targetHVT(t)
	img := on.buildWith(t, nil, logGuest, "--log", "syslog+udp", "--needs", "conf")
	conf := func(settings string) string { return "conf=" + confVolume(t, settings) + ":/etc/app:ro" }
	for want, args := range map[string][]string{
		"was built without syslog+tls\ntailor: hint: rebuild it with: tailor build --log syslog+tls ":                       {"--syslog", "tls://10.0.0.1", img, "all"},
		"syslog=tcp://10.0.0.1: the program was built without syslog+tcp; rebuild it with: tailor build --log syslog+tcp\n": {"--volume", conf("syslog=tcp://10.0.0.1"), img, "all"},
		"line 1: boot parameter syslog-facility=local8 is malformed":                                                        {"--volume", conf("syslog-facility=local8"), img, "all"},
	} {
		on.run(t, args...).want(t, 125, nil, []string{want})
	}
}

// TestLogsImported: a program that imports a transport has it, though its own copy of
// the package does nothing.
func TestLogsImported(t *testing.T) {
	r := rsyslogtest.Start(t, rsyslogtest.Config{Transport: "tcp"})
	img := buildWith(t, nil, "./testdata/logimport", "-t", build.Unix)
	run(t, "run", "-t", "unix", "--syslog", r.URL, img).want(t, 0, []string{"hello\n"}, nil)
	if lines := r.AwaitCount(limit, 1); len(lines) != 1 || !strings.HasSuffix(lines[0], "|hello") {
		t.Errorf("%q", lines)
	}
}
