package params

import "testing"

func TestParseMount(t *testing.T) {
	for _, tt := range []struct{ param, tag, path, kind string }{
		{"share0:/a/b:ro", "share0", "/a/b", "ro"},
		{"s:/with%20space%2C%25%3A:rw", "s", "/with space,%:", "rw"},
		{"s:/%FF:overlay", "s", "/\xff", "overlay"},
	} {
		tag, path, kind, ok := ParseMount(tt.param)
		if !ok || tag != tt.tag || path != tt.path || kind != tt.kind {
			t.Errorf("%s: %q %q %q %v", tt.param, tag, path, kind, ok)
		}
	}
	for _, bad := range []string{"", "s", "s:/a", ":/a:ro", "s:a:ro", "s::ro", "s:/a%:ro", "s:/a%2:ro", "s:/%GG:ro", "s:/%2c:ro"} {
		if tag, path, kind, ok := ParseMount(bad); ok {
			t.Errorf("%q: %q %q %q", bad, tag, path, kind)
		}
	}
}

func TestParseDisk(t *testing.T) {
	for _, tt := range []struct {
		param, name, path string
		readOnly          bool
	}{
		{"data", "data", "", false}, {"data:ro", "data", "", true}, {"vda2", "vda2", "", false},
		{"a:/x/%3Aro:ro", "a", "/x/:ro", true}, {"a:/with%20space", "a", "/with space", false},
	} {
		name, path, readOnly, ok := ParseDisk(tt.param)
		if !ok || name != tt.name || path != tt.path || readOnly != tt.readOnly {
			t.Errorf("%s: %q %q %v %v", tt.param, name, path, readOnly, ok)
		}
	}
	for _, bad := range []string{"", ":ro", ":/a", "a:", "a::ro", "a:rw", "a:b", "a:/%", "a:ro:ro"} {
		if name, path, _, ok := ParseDisk(bad); ok {
			t.Errorf("%q: %q %q", bad, name, path)
		}
	}
}

func FuzzParseDisk(f *testing.F) {
	f.Add("data:/a%20b:ro")
	f.Add("data:ro")
	f.Fuzz(func(t *testing.T, value string) {
		name, path, _, ok := ParseDisk(value)
		if ok && (name == "" || path != "" && path[0] != '/') {
			t.Errorf("%q: %q at %q", value, name, path)
		}
	})
}

func TestOwn(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/", "/etc": "/etc", "/etc/app": "", "/dev": "/dev", "/dev/x": "/dev", "/devices": "", "/proc/self": "/proc", "/sys": "/sys",
		"/run": "/run", "/run/app": "", "/run/secrets": "/run/secrets", "/run/secrets/key": "/run/secrets", "/run/secrets2": "", "/data": "",
	} {
		if dir, below := Own(path, false); dir != want || below != (want == "/" || want == "/etc" || want == "/run") {
			t.Errorf("Own(%q) = %q, %v", path, dir, below)
		}
	}
	if dir, _ := Own("/tmp", true); dir != "/tmp" {
		t.Errorf("read-only at /tmp: %q", dir)
	}
	if dir, _ := Own("/tmp", false); dir != "" {
		t.Errorf("at /tmp: %q", dir)
	}
}
