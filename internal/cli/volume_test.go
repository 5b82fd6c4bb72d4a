package cli

import (
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/hint"
)

func TestParseVolume(t *testing.T) {
	for s, want := range map[string]Volume{
		"data=data.img:/data":        {Name: "data", Source: "data.img", Path: "/data"},
		"conf=conf.img:/etc/app:ro":  {Name: "conf", Source: "conf.img", Path: "/etc/app", ReadOnly: true},
		"src=./dir:/src:rw":          {Name: "src", Source: "./dir", Path: "/src"},
		"d=/dev/sdb:/a//b/":          {Name: "d", Source: "/dev/sdb", Path: "/a/b"},
		"d=a:b=c:/x":                 {Name: "d", Source: "a:b=c", Path: "/x"},
		"a.b-c_9=x:/../y":            {Name: "a.b-c_9", Source: "x", Path: "/y"},
		"twentybytestwentybyte=x:/y": {},
		"d=x:/ro":                    {Name: "d", Source: "x", Path: "/ro"},
		"d=a:ro:/x:rw":               {Name: "d", Source: "a:ro", Path: "/x"},
		"tmp=tmp.img:/tmp":           {Name: "tmp", Source: "tmp.img", Path: "/tmp"},
	} {
		got, err := ParseVolume(s)
		if want.Name == "" {
			if err == nil {
				t.Errorf("ParseVolume(%q) = %v", s, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("ParseVolume(%q) = %+v, %v, want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"": "not a volume", "data.img:/data": "not a volume", "=x:/y": "no name", "a/b=x:/y": "cannot be the name", "-a=x:/y": "cannot be the name",
		"d=data.img": "is missing", "d=data.img:data": "not an absolute path", "d=:/x": "file of the volume is missing",
		"d=x:/": "/ is the guest's own", "d=x:/a/..": "/ is the guest's own", "d=x:/a\nb": "control characters",
		"d=x:/run": "/run is the guest's own", "d=x:/run/secrets/a": "/run/secrets is the guest's own", "d=x:/proc/": "/proc is the guest's own",
		"d=x:/tmp:ro": "/tmp is the guest's own", "d=x:/etc:rw": "/etc is the guest's own",
		"d=x:/data:RO": `unknown mode "RO"`, "d=x:/data:": `unknown mode ""`, "d=x:/a:b:ro": `unknown mode "b:ro"`, "d=x:/data:ro:ro": "unknown mode",
	} {
		if got, err := ParseVolume(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseVolume(%q) = %+v, %v, want %s", s, got, err, want)
		}
	}
	if _, err := ParseVolume("d=data.img"); hint.Of(err) != "write d=data.img:/PATH" {
		t.Errorf("hint %q", hint.Of(err))
	}
}

func FuzzParseVolume(f *testing.F) {
	f.Add("conf=conf.img:/etc/app:ro")
	f.Add("d=a:/b:/c")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVolume(s)
		if err != nil {
			return
		}
		if again, err := ParseVolume(v.String()); err != nil || again != v {
			t.Fatalf("%q: %+v, then %+v, %v", s, v, again, err)
		}
	})
}

func TestParseDisk(t *testing.T) {
	for s, want := range map[string]Volume{
		"d=disk.img": {Name: "d", Source: "disk.img"}, "d=/dev/sdb:ro": {Name: "d", Source: "/dev/sdb", ReadOnly: true},
		"d=a=b:rw": {Name: "d", Source: "a=b"}, "d=a:ro:rw": {Name: "d", Source: "a:ro"}, "d=a:/b": {Name: "d", Source: "a:/b"},
	} {
		got, err := ParseDisk(s)
		if err != nil || got != want || !got.IsDisk() {
			t.Errorf("ParseDisk(%q) = %+v, %v, want %+v", s, got, err, want)
		}
		if again, err := ParseDisk(got.String()); err != nil || again != got {
			t.Errorf("%q: %+v, %v", got.String(), again, err)
		}
	}
	for s, want := range map[string]string{"": "not a disk", "x": "not a disk", "=f": "the disk has no name", "d=": "missing", "d=:ro": "missing", "a/b=f": "cannot be the name of a disk"} {
		if got, err := ParseDisk(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseDisk(%q) = %+v, %v, want %s", s, got, err, want)
		}
	}
}

func TestParseSecret(t *testing.T) {
	if got, err := ParseSecret("tls.key=/a=b"); err != nil || got != (Secret{"tls.key", "/a=b"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "x", "x=", "=f", "a/b=f", "..=f", ".=f", strings.Repeat("x", 256) + "=f"} {
		if got, err := ParseSecret(s); err == nil {
			t.Errorf("ParseSecret(%q) = %+v", s, got)
		}
	}
}

func TestParsePartition(t *testing.T) {
	if got, err := ParsePartition("data=12"); err != nil || got != (Partition{"data", 12}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "data", "data=", "=1", "data=0", "data=-1", "data=x", "a/b=1"} {
		if got, err := ParsePartition(s); err == nil {
			t.Errorf("ParsePartition(%q) = %+v", s, got)
		}
	}
}

func TestParseKey(t *testing.T) {
	if got, err := ParseKey("data=/a=b"); err != nil || got != (Secret{"data", "/a=b"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, s := range []string{"", "x", "x=", "=f", "a/b=f", "data.key", strings.Repeat("x", 21) + "=f"} {
		if got, err := ParseKey(s); err == nil {
			t.Errorf("ParseKey(%q) = %+v", s, got)
		}
	}
}
