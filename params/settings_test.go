package params

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	for text, want := range map[string]Line{
		"":               {},
		"# nothing\n \n": {},
		"hostname=web-1": {System: []string{"hostname=web-1"}},
		"# a \"comment\ndns=9.9.9.9 # another\nmtu=1400\r\n": {System: []string{"dns=9.9.9.9", "mtu=1400"}},
		"env=A=#1 env=\"B=two words\"\n#env=C=3":             {Env: []string{"A=#1", "B=two words"}},
		"env=K=a#b":                                          {Env: []string{"K=a#b"}},
		"hostname=a\n--\n-title \"The # title\" # c\n-- -v":  {System: []string{"hostname=a"}, Args: []string{"-title", "The # title", "--", "-v"}},
		"-- hostname=b":                                      {Args: []string{"hostname=b"}},
	} {
		got, err := Settings(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
}

func TestSettingsErrors(t *testing.T) {
	for text, want := range map[string]string{
		"hostname=a\n\nhostnam=b":       "settings, line 3: boot parameter hostnam=b is unknown; known are: ",
		"hostname=\"a":                  "settings, line 1: the quote is not closed",
		"\n# \"\nmtu=1":                 "settings, line 3: boot parameter mtu=1 is malformed",
		"virtio_mmio.device=4K@0x1:5":   "settings, line 1: virtio_mmio.device can be a boot parameter only",
		"\"#\"=x":                       "boot parameter #=x is unknown",
		"mount=a:/b:ro":                 "mount can be a boot parameter only",
		"env=GOGC=1":                    "line 1: env=GOGC can be a boot parameter only",
		"env=X":                         "line 1: boot parameter env=X is malformed",
		strings.Repeat("x", 70<<10):     "longer than 65536 bytes",
		strings.Repeat("\n", 122) + "=": "settings, line 123: ",
	} {
		if l, err := Settings(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %+v, %v, want %s", text, l, err, want)
		}
	}
}

// TestPrecedence: a boot parameter counts more than a setting on a volume, and
// that more than what was compiled in.
func TestPrecedence(t *testing.T) {
	compiled := Line{System: []string{"hostname=compiled", "mtu=1300", "dns=1.1.1.1"}, Env: []string{"A=compiled", "B=compiled"}, Args: []string{"-a=compiled"}}
	volume := Line{System: []string{"hostname=volume", "dns=2.2.2.2", "dns=3.3.3.3"}, Env: []string{"A=volume", "C=volume"}, Args: []string{"-a=volume", "-b"}}
	line := Line{System: []string{"hostname=line"}, Env: []string{"C=line"}, Args: []string{"-a=line"}}
	got := line.Over(volume.Over(compiled))
	want := Line{
		System: []string{"mtu=1300", "dns=2.2.2.2", "dns=3.3.3.3", "hostname=line"},
		Env:    []string{"B=compiled", "A=volume", "C=line"},
		Args:   []string{"-a=compiled", "-a=volume", "-b", "-a=line"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(line.System) != 1 || len(volume.Args) != 2 || len(compiled.Args) != 1 {
		t.Error("what was joined has changed")
	}
}

// What the tool chose by itself counts less than a volume's, and makes way for what
// does not fit beside that.
func TestOverDefaults(t *testing.T) {
	const chosen = "ip=10.0.2.15/24 gw=10.0.2.2 ip6=fd00::15/64 gw6=fd00::2 dns=10.0.2.3 dns=fd00::3 hostname=h "
	for _, tt := range []struct{ boot, volume, want string }{
		{chosen, "dns=9.9.9.9", chosen[:len(chosen)-1]},
		{chosen + "defaults=ip,gw,ip6,gw6,dns", "dns=9.9.9.9 hostname=v", "dns=9.9.9.9 ip=10.0.2.15/24 gw=10.0.2.2 ip6=fd00::15/64 gw6=fd00::2 hostname=h"},
		{chosen + "defaults=ip,gw,ip6,gw6", "dns=9.9.9.9 ip=192.0.2.5/24", "ip=192.0.2.5/24 ip6=fd00::15/64 gw6=fd00::2 dns=10.0.2.3 dns=fd00::3 hostname=h"},
		{chosen + "defaults=ip,gw,ip6,gw6", "", chosen[:len(chosen)-1]},
		{"ip=10.0.2.15/24 gw=10.0.2.2 ip=eth1:10.8.0.5/24 gw=eth1:10.8.0.1 defaults=ip,gw,eth1:ip,eth1:gw", "ip=eth1:192.0.2.5/24", "ip=eth1:192.0.2.5/24 ip=10.0.2.15/24 gw=10.0.2.2"},
		{"ip=eth1:10.8.0.5/24 gw=eth1:10.8.0.1", "ip=192.0.2.5/24 ip=eth1:192.0.2.6/24 mtu=eth0:1400", "ip=192.0.2.5/24 mtu=eth0:1400 ip=eth1:10.8.0.5/24 gw=eth1:10.8.0.1"},
		{"ip=10.0.2.15/24 gw=10.0.2.2 defaults=ip,gw", "ip=192.0.2.5/24 gw=192.0.2.1", "ip=192.0.2.5/24 gw=192.0.2.1"},
	} {
		boot, err := Split(tt.boot)
		if err != nil {
			t.Fatal(err)
		}
		volume, err := Settings(tt.volume)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := Split(boot.Over(volume).String())
		if want, _ := Split(tt.want); !slices.Equal(slices.Sorted(slices.Values(got.System)), slices.Sorted(slices.Values(want.System))) {
			t.Errorf("%q over %q: %q, want %q", tt.boot, tt.volume, got, want)
		}
	}
}

// FuzzSettings: what a file says is the same as what its lines say on a command
// line, comments apart; and all that is accepted can be booted with.
func FuzzSettings(f *testing.F) {
	f.Add("# c\nhostname=web-1 env=A=\"b c\"\n-- -x \"y # z\" # d\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := Settings(text)
		if err != nil {
			return
		}
		if err := Check(l.System); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		again, err := Split(l.String())
		if err != nil || !slices.Equal(again.System, l.System) || !slices.Equal(again.Env, l.Env) || !slices.Equal(again.Args, l.Args) {
			t.Fatalf("%q: %+v, then %+v, %v", text, l, again, err)
		}
		if strings.Contains(text, "#") || strings.Contains(text, paramDevice) {
			return
		}
		same, err := Split(text)
		if err != nil || !slices.Equal(same.Args, l.Args) || !slices.Equal(same.System, l.System) {
			t.Fatalf("%q: as a file %+v, as a line %+v, %v", text, l, same, err)
		}
	})
}
