package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// confVolume packs a folder with a file and settings, and returns the volume.
func confVolume(t *testing.T, settings string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "conf")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"sub/hello.txt": "hello\n", "tailor.params": settings} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img := dir + ".img"
	run(t, "volume", "pack", img, dir).want(t, 0, nil, nil)
	return img
}

// Settings come from a volume, boot parameters count more, and a secret is a file
// that is nowhere else.
func TestConfiguration(t *testing.T) {
	conf := confVolume(t, "hostname=web-1 dns=192.0.2.53\nenv=GREETING=\"hello, world\" env=BOTH=volume # a comment\n--\n-title volume\n")
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	each(t, func(t *testing.T, on target) {
		args := on.line("-e", "BOTH=boot", "--volume", "conf="+conf+":/etc/app:ro", "--secret", "key="+key, "./testdata/volguest", "-x", "boot")
		r := vmtest.Setting{Limit: vmtest.Limit * 4}.Start(t, args...).Wait()
		r.Want(t, 0, []string{
			"args -title volume -x boot\n", "nameserver 192.0.2.53\n", "GREETING=hello, world\n", "BOTH=boot\n", "host web-1\n",
			"/etc/app/sub/hello.txt \"hello\\n\"\n", "write: read-only file system\n", "secret \"s3cret\" -r--------\n",
		}, nil)
		if strings.Contains(r.Stdout, "\nBOTH=volume\n") || strings.Count(r.Stdout, "nameserver") != 1 {
			t.Errorf("a variable of the volume counts more than the boot's, or the tool's name server as much:\n%s", r.Stdout)
		}
		r = vmtest.Setting{Limit: vmtest.Limit * 4}.Start(t, append(on.line("--dns", "192.0.2.9"), args[len(on.line()):]...)...).Wait()
		if r.Want(t, 0, []string{"nameserver 192.0.2.9\n"}, nil); strings.Count(r.Stdout, "nameserver") != 1 {
			t.Errorf("the volume's name server counts as much as --dns:\n%s", r.Stdout)
		}
	}, ownFiles)
}

// cut returns what is in a volume that was packed, without its end.
func cut(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data[:len(data)-1024])
}

func TestBadVolumes(t *testing.T) {
	conf := confVolume(t, "hostname=web-1\n")
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	img := filepath.Join(dir, "needs.img")
	run(t, "build", "--needs", "data", "-o", img, "./testdata/volguest").want(t, 0, nil, nil)
	plain := buildImage(t, "hvt", guestPkg)
	for name, tt := range map[string]struct {
		args   []string
		stderr string
	}{
		"no such file":   {[]string{"--volume", "c=" + dir + "/none:/c:ro", img}, "there is no volume"},
		"without a need": {[]string{img}, `the image needs a volume "data"`},
		"not for it":     {[]string{"--volume", "c=" + conf + ":/c:ro", plain}, "was not built to see volumes"},
		"twice":          {[]string{"--volume", "data=" + conf + ":/c:ro", "--volume", "data=" + conf + ":/d:ro", img}, "two volumes have the name"},
		"a tar to write": {[]string{"--volume", "data=" + conf + ":/c", img}, "a tar can only be read: mount it with :ro"},
		"nonsense":       {[]string{"--volume", "data=" + write("junk", strings.Repeat("junk", 4096)) + ":/c:ro", img}, "no file system that is known"},
		"empty":          {[]string{"--volume", "data=" + write("empty", "") + ":/c:ro", img}, "empty"},
		"bad settings":   {[]string{"--volume", "data=" + conf + ":/d:ro", "--volume", "conf=" + confVolume(t, "nonsense=1\n") + ":/c:ro", img}, "nonsense=1"},
		"no syslog":      {[]string{"--volume", "data=" + conf + ":/d:ro", "--volume", "conf=" + confVolume(t, "syslog=tls://a\n") + ":/c:ro", img}, "built without syslog+tls; rebuild it with: tailor build --log syslog+tls"},
		"over secrets":   {[]string{"--volume", "data=" + conf + ":/run/secrets:ro", "--secret", "a=" + conf, img}, "/run/secrets is the guest's own"},
		"in a tar":       {[]string{"--volume", "data=" + conf + ":/d:ro", "--volume", "conf=" + conf + ":/d/none:ro", img}, "volume conf cannot be mounted at /d/none: read-only file system"},
		"cut short":      {[]string{"--volume", "data=" + write("cut", cut(t, conf)) + ":/c:ro", img}, "no block of zeros ends it; see: tailor volume check"},
		"unknown":        {[]string{"--volume", "data=" + conf + ":/c:ro", "--volume", "other=" + conf + ":/d:ro", img}, `the image knows no volume "other"`},
		"no secrets":     {[]string{"--secret", "a=" + conf, plain}, "hint: rebuild it with: tailor build --volumes "},
		"plain process":  {[]string{"-t", "unix", "--volume", "data=" + conf + ":/c:ro", "./testdata/volguest"}, "has the host's own files"},
	} {
		r := run(t, append([]string{"run"}, tt.args...)...)
		if r.code != 125 || !strings.Contains(r.stderr, tt.stderr) {
			t.Errorf("%s: exit code %d, stderr must have %q:\n%s", name, r.code, tt.stderr, r.stderr)
		}
	}
}
