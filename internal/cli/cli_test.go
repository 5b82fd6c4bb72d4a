package cli

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

type options struct {
	target string
	size   uint64
	env    []string
	verb   bool
	dry    bool
}

func flagsOf(o *options) []Flag {
	return []Flag{
		StringFlag(&o.target, "target", 't', "T", ""),
		ValueFlag(&o.size, "memory", 'm', "SIZE", "", ParseSize),
		ListFlag(&o.env, "env", 'e', "K=V", "", ParseEnv),
		BoolFlag(&o.verb, "verbose", 'v', ""),
		BoolFlag(&o.dry, "dry-run", 'n', ""),
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		stop bool
		want options
		rest string
	}{
		{"pkg", true, options{}, "pkg"},
		{"-t hvt pkg -t unix --help", true, options{target: "hvt"}, "pkg -t unix --help"},
		{"-t hvt pkg -v more", false, options{target: "hvt", verb: true}, "pkg more"},
		{"--target=hvt -target unix", false, options{target: "unix"}, ""},
		{"-t=", false, options{}, ""},
		{"-m64M -m=1G", false, options{size: 1 << 30}, ""},
		{"-nv -e A=1 -e B=2=3", false, options{dry: true, verb: true, env: []string{"A=1", "B=2=3"}}, ""},
		{"-v=false -- -t x", false, options{}, "-t x"},
		{"-v -- pkg -- -x", true, options{verb: true}, "pkg -- -x"},
		{"- -v", true, options{}, "- -v"},
	} {
		var got options
		rest, err := Parse("run", flagsOf(&got), strings.Fields(c.args), c.stop)
		if err != nil || !reflect.DeepEqual(got, c.want) || strings.Join(rest, " ") != c.rest {
			t.Errorf("%q: %+v, %q, %v; want %+v, %q", c.args, got, rest, err, c.want, c.rest)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ args, err, hint string }{
		{"--memroy 1M", "unknown flag --memroy", "--memory"},
		{"-memroy", "unknown flag -memroy", "--memory"},
		{"-x", "unknown flag -x", "tailor help run"},
		{"-vx", "unknown flag -vx", ""},
		{"-t", "-t needs a value", "-t T"},
		{"-m 5", `-m "5": no unit`, "5M"},
		{"--verbose=x", `--verbose "x"`, ""},
		{"---v", "unknown flag", ""},
	} {
		_, err := Parse("run", flagsOf(new(options)), strings.Fields(c.args), true)
		if err == nil || !strings.Contains(err.Error(), c.err) || c.hint != "" && !strings.Contains(hint.Of(err), strings.Fields(c.hint)[0]) {
			t.Errorf("%q: %v (hint: %s), want %q (%q)", c.args, err, hint.Of(err), c.err, c.hint)
		}
	}
	if _, err := Parse("run", nil, []string{"-h"}, true); !errors.Is(err, ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestNearest(t *testing.T) {
	verbs := []string{"run", "build", "doctor", "version", "help"}
	for word, want := range map[string]string{
		"rum": "run", "urn": "run", "biuld": "build", "bild": "build", "docter": "doctor",
		"versoin": "version", "x": "", "completely": "", "": "",
		strings.Repeat("x", 10000): "",
	} {
		if got := Nearest(word, verbs); got != want {
			t.Errorf("Nearest(%.20q) = %q, want %q", word, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "", 3}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
		if got := distance(c.b, c.a); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.b, c.a, got, c.want)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]uint64{
		"1K": 1 << 10, "64M": 64 << 20, "64m": 64 << 20, "64MiB": 64 << 20, "1g": 1 << 30, "2TiB": 2 << 40, "3KIB": 3 << 10,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "M", "64", "64MB", "64Mi", "64B", "-1M", "1.5G", "0M", "0x10M", "1 M", "1MM",
		"99999999999999999999M", "9007199254740992G", "16777216T"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", s, got)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, s := range []string{"64M", "1GiB", "", "9999999T", "-1K"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSize(s)
		if err != nil {
			return
		}
		if n == 0 || n > math.MaxInt64 {
			t.Fatalf("ParseSize(%q) = %d", s, n)
		}
		again, err := ParseSize(FormatSize(n))
		if err != nil || again != n {
			t.Fatalf("ParseSize(FormatSize(%d)) = %d, %v", n, again, err)
		}
	})
}

func TestParsePublish(t *testing.T) {
	lo := netip.MustParseAddr("127.0.0.1")
	for s, want := range map[string]Publish{
		"8080:80":                {Host: 8080, Guest: 80},
		"8080:80/tcp":            {Host: 8080, Guest: 80},
		"53:53/udp":              {Host: 53, Guest: 53, UDP: true},
		"127.0.0.1:8080:80":      {Addr: lo, Host: 8080, Guest: 80},
		"localhost:8080:80":      {Addr: lo, Host: 8080, Guest: 80},
		"[::1]:8080:80/udp":      {Addr: netip.IPv6Loopback(), Host: 8080, Guest: 80, UDP: true},
		"[fe80::1%eth0]:1:65535": {Addr: netip.MustParseAddr("fe80::1%eth0"), Host: 1, Guest: 65535},
	} {
		if got, err := ParsePublish(s); err != nil || got != want {
			t.Errorf("ParsePublish(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", ":", "80", "x:80", "80:", ":80", "0:80", "80:0", "65536:80", "80:65536", "-1:80", "80:80/", "80:80/icmp",
		"::1:80:80", "[127.0.0.1]:80:80", "nowhere:80:80", ":80:80", "[::1:80:80", "80:80:80:80", "+80:80", "80:80/udp/tcp"} {
		if got, err := ParsePublish(s); err == nil {
			t.Errorf("ParsePublish(%q) = %v, want an error", s, got)
		} else if hint.Of(err) == "" {
			t.Errorf("ParsePublish(%q): %v: no hint", s, err)
		}
	}
}

func FuzzParsePublish(f *testing.F) {
	for _, s := range []string{"8080:80", "[::1]:1:2/udp", "127.0.0.1:5:6/tcp", "::", "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePublish(s)
		if err != nil {
			return
		}
		if p.Host == 0 || p.Guest == 0 {
			t.Fatalf("ParsePublish(%q) = %v", s, p)
		}
		again, err := ParsePublish(p.String())
		if err != nil || again != p {
			t.Fatalf("ParsePublish(%q) = %v, %v, want %v", p, again, err, p)
		}
	})
}

func TestParseNet(t *testing.T) {
	for s, want := range map[string]Net{
		"user": {Kind: "user"}, "none": {Kind: "none"}, "tap:tap0": {"tap", "tap0"}, "tap:a:b": {"tap", "a:b"},
	} {
		if got, err := ParseNet(s); err != nil || got != want {
			t.Errorf("ParseNet(%q) = %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "usr", "tap", "tap:", "user:x", "none:", "tap:a/b", "tap:a b", "tap:sixteencharacter"} {
		if got, err := ParseNet(s); err == nil {
			t.Errorf("ParseNet(%q) = %v, want an error", s, got)
		}
	}
}

func TestParseEnv(t *testing.T) {
	for _, s := range []string{"A=", "A=b", "A=b=c", "A B=c"} {
		if got, err := ParseEnv(s); err != nil || got != s {
			t.Errorf("ParseEnv(%q) = %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "A", "=b", "A=\x00"} {
		if _, err := ParseEnv(s); err == nil {
			t.Errorf("ParseEnv(%q): want an error", s)
		}
	}
}

func TestPrinter(t *testing.T) {
	var b bytes.Buffer
	p := NewPrinter("tool", &b)
	p.Infof("a %d", 1)
	p.Error(hint.Errorf("do it", "went\nwrong: %w", io.EOF))
	io.WriteString(p, "raw\n")
	want := "tool: a 1\ntool: error: went\ntool:        wrong: EOF\ntool: hint: do it\nraw\n"
	if b.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", b.String(), want)
	}
}

// What others have named does nothing to the terminal.
func TestPrinterFilters(t *testing.T) {
	var b bytes.Buffer
	p := NewPrinter("tool", &b)
	p.Warnf("%s\tleft out", "a\x1b[2J\r\u009b\x9bé")
	p.Error(hint.Errorf("rm \x1b", "\x7f"))
	if want := "tool: warning: a?[2J??\ufffdé\tleft out\ntool: error: ?\ntool: hint: rm ?\n"; b.String() != want {
		t.Errorf("printed %q, want %q", b.String(), want)
	}
	if got := Printable("a\tb\nc\u202ed\u200ce"); got != "a?b?c?d\u200ce" {
		t.Errorf("Printable: %q", got)
	}
}

func TestProgress(t *testing.T) {
	for _, c := range []struct {
		tty  bool
		last time.Duration
		want string
	}{
		{false, 900 * time.Millisecond, ""},
		{false, 5 * time.Second, "tool: working\n"},
		{true, 900 * time.Millisecond, ""},
		{true, 2500 * time.Millisecond, "\r\x1b[Ktool: working (1 s)\r\x1b[Ktool: working (2 s)\r\x1b[K"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var b bytes.Buffer
			p := NewPrinter("tool", &b)
			p.tty = c.tty
			stop := p.Progress("working")
			time.Sleep(c.last)
			stop()
			if b.String() != c.want {
				t.Errorf("%+v: printed %q", c, b.String())
			}
		})
	}
}

// What others print removes the line of progress first.
func TestProgressGivesWay(t *testing.T) {
	var b bytes.Buffer
	p := NewPrinter("tool", &b)
	p.tty = true
	p.show("working", time.Second)
	io.WriteString(p, "# package\n")
	if want := "\r\x1b[Ktool: working (1 s)\r\x1b[K# package\n"; b.String() != want {
		t.Errorf("printed %q, want %q", b.String(), want)
	}
}
