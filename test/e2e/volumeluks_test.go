package e2e

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

// keyFile makes a file with a key.
func keyFile(t *testing.T) string {
	t.Helper()
	key := make([]byte, 64)
	rand.Read(key)
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, key, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// encryptedVolume makes an encrypted volume.
func encryptedVolume(t *testing.T, key string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.img")
	run(t, "volume", "create", "--size", "8M", "--encrypt", "--key-file", key, path).want(t, 0, nil, nil)
	return path
}

// spoil writes bytes into a file.
func spoil(t *testing.T, path string, off int64, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte(text), off); err != nil {
		t.Fatal(err)
	}
}

// luks starts a command of the guest on the volume "data", with more flags of run.
func luks(t *testing.T, on target, data string, flags []string, stdin io.Reader, args ...string) *vmtest.Proc {
	t.Helper()
	line := append(on.line("--volume", "data="+data+":/data"), flags...)
	line = append(append(line, volumeImage(t, on, volcmdPkg, "--luks")), args...)
	return vmtest.Setting{Stdin: stdin, Limit: 2 * time.Minute}.Start(t, line...)
}

// What a program has synced on an encrypted volume is there after the machine was
// killed, for who has the key; nothing of it is on the host in clear, and the program
// does not see the key.
func TestVolumeEncrypted(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		key := keyFile(t)
		data, flags := encryptedVolume(t, key), []string{"--key-file", "data=" + key}
		stdin, w := io.Pipe()
		p := luks(t, on, data, flags, stdin, "hold", "/data/entries")
		p.Expect("ready\n")
		for i := range 3 {
			io.WriteString(w, "sync\n")
			p.Expect(strings.Repeat("sync: <nil>\n", i+1))
		}
		p.Signal(syscall.SIGKILL)
		w.Close() // without which it would be waited for
		<-p.Done
		text := catWhenUnlocked(t, data, key, "/entries")
		if text != strings.Repeat("line\n", 3) {
			t.Errorf("after a kill: %q", text)
		}
		luks(t, on, data, flags, nil, "write", "/data/big", "1000000").Wait().Want(t, 0, nil, nil)
		luks(t, on, data, flags, nil, "sum", "/data").Wait().Want(t, 0, []string{"sum 2 1000015\n"}, nil)
		run(t, "volume", "check", "--key-file", key, data).want(t, 0, nil, nil)
		luks(t, on, data, flags, nil, "sum", "/run/secrets").Wait().Want(t, 1, []string{"no such file or directory"}, nil)
		secret := append(flags, "--secret", "db="+key)
		luks(t, on, data, secret, nil, "sum", "/run/secrets").Wait().Want(t, 0, []string{"sum 1 64\n"}, nil)
		raw, err := os.ReadFile(data)
		if err != nil || bytes.Contains(raw, []byte("line\nline\n")) || bytes.Contains(raw, []byte("entries")) {
			t.Errorf("it is there in clear (%v)", err)
		}
	})
}

// catWhenUnlocked is tailor volume cat, as soon as a machine that was killed has
// left the volume.
func catWhenUnlocked(t *testing.T, data, key, path string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		r := run(t, "volume", "cat", "--key-file", key, data, path)
		if r.code == 0 {
			return r.stdout
		}
		if !strings.Contains(r.stderr, "is in use") || time.Now().After(deadline) {
			t.Fatal(r.stderr)
		}
	}
}

// What does not open ends the start with the reason, whatever the volume is.
func TestVolumeEncryptedRefused(t *testing.T) {
	key := keyFile(t)
	good, err := os.ReadFile(encryptedVolume(t, key))
	if err != nil {
		t.Fatal(err)
	}
	eachVolumeTarget(t, func(t *testing.T, on target) {
		for name, tt := range map[string]struct {
			off          int64
			text, stderr string
		}{
			"another key": {112, "digest", "volume data: the key does not fit"},
			"LUKS 2":      {6, "\x00\x02", "volume data: LUKS header: version 2 is not supported, only 1"},
			"cipher":      {8, "twofish", "volume data: LUKS header: twofish-xts-plain64 with sha256 is not supported"},
			"iterations":  {212, "\xff\xff\xff\xff", "volume data: LUKS header: key 0 asks for 4294967295 iterations"},
			"inside":      {2 << 20, strings.Repeat("x", 4096), "volume data: it holds no file system"},
		} {
			path := filepath.Join(t.TempDir(), "v.img")
			if err := os.WriteFile(path, good, 0o600); err != nil {
				t.Fatal(err)
			}
			spoil(t, path, tt.off, tt.text)
			r := luks(t, on, path, []string{"--key-file", "data=" + key}, nil, "sum", "/data").Wait()
			if r.Code != 125 || !strings.Contains(r.Stderr, tt.stderr) || strings.Contains(r.Stderr, "goroutine ") || r.Stdout != "" {
				t.Errorf("%s: exit code %d, stderr must have %q:\n%s%s", name, r.Code, tt.stderr, r.Stdout, r.Stderr)
			}
		}
		path := filepath.Join(t.TempDir(), "v.img")
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
		luks(t, on, path, []string{"--key-file", "data=" + keyFile(t)}, nil, "sum", "/data").Wait().
			Want(t, 125, nil, []string{"volume data: the key does not fit", "a newline at the end too"})
	})
}

// What is missing is said before anything is built or started. A package is built
// with what its volumes need.
func TestVolumeEncryptedFlags(t *testing.T) {
	on := targetHVT(t)
	key, plain := keyFile(t), dataVolume(t, "4M")
	data := encryptedVolume(t, key)
	volume, withKey := []string{"--volume", "data=" + data + ":/data"}, []string{"--key-file", "data=" + key}
	without, with := volumeImage(t, on, volcmdPkg), volumeImage(t, on, volcmdPkg, "--luks")
	join := func(lists ...[]string) (all []string) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return append(all, "sum", "/data")
	}
	for name, tt := range map[string]struct {
		args   []string
		stderr []string
	}{
		"no key":        {join(volume, []string{with}), []string{data + " is encrypted", "hint: give its key: --key-file data=FILE"}},
		"no key, built": {join(volume, []string{volcmdPkg}), []string{data + " is encrypted"}},
		"no support":    {join(volume, withKey, []string{without}), []string{"was built without what opens encrypted volumes and disks\n", "hint: rebuild it with: tailor build --luks "}},
		"no volume":     {join(withKey, []string{with}), []string{"there is no volume or disk of that name", "hint: give it: --volume data="}},
		"a folder":      {join([]string{"--volume", "data=" + t.TempDir() + ":/data"}, withKey, []string{with}), []string{"is a folder, which has no key"}},
		"not encrypted": {join([]string{"--volume", "data=" + plain + ":/data"}, withKey, []string{with}), []string{plain + " is not encrypted"}},
		"two keys":      {join(volume, withKey, withKey, []string{with}), []string{"two are for data"}},
		"no file":       {join(volume, []string{"--key-file", "data=" + key + "2", with}), []string{key + "2: no such file"}},
		"plain process": {join([]string{"-t", "unix"}, withKey, []string{volcmdPkg}), []string{"has the host's own files"}},
	} {
		r := run(t, append([]string{"run"}, tt.args...)...)
		for _, want := range tt.stderr {
			if r.code != 125 || !strings.Contains(r.stderr, want) || strings.Contains(r.stderr, "building") {
				t.Errorf("%s: exit code %d, stderr must have %q:\n%s", name, r.code, want, r.stderr)
			}
		}
	}
	on.run(t, join(volume, withKey, []string{volcmdPkg})...).want(t, 0, []string{"sum 0 0\n"}, nil)
}

// To try a key that was typed takes long on purpose, and is no stall.
func TestVolumeEncryptedTyped(t *testing.T) {
	on := targetHVT(t)
	key := filepath.Join(t.TempDir(), "typed")
	if err := os.WriteFile(key, []byte("correct horse"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := luks(t, on, encryptedVolume(t, key), []string{"--key-file", "data=" + key, "--stall-warning", "100ms"}, nil, "sum", "/data").Wait()
	r.Want(t, 0, []string{"sum 0 0\n"}, nil)
	if strings.Contains(r.Stderr, "has computed") {
		t.Errorf("stderr:\n%s", r.Stderr)
	}
}

// Without the tool, keys are files of the volume of secrets, and the guest says
// itself what is missing.
func TestVolumeEncryptedByHand(t *testing.T) {
	on := targetMicroVM(t)
	key := keyFile(t)
	data := encryptedVolume(t, key)
	for name, tt := range map[string]struct {
		flags []string // of build
		key   string   // in the volume of secrets
		want  string
	}{
		"works":      {[]string{"--luks"}, "keys/data", "sum 0 0\n"},
		"no key":     {[]string{"--luks"}, "keys/other", "volume data: it is encrypted, and its key is missing: give it with --key-file data=FILE"},
		"no support": {nil, "keys/data", "built without what opens it; rebuild it with: tailor build --luks"},
	} {
		dir := t.TempDir()
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "secrets"), map[string]string{tt.key: string(text)})
		run(t, "volume", "pack", filepath.Join(dir, "secrets.tar"), filepath.Join(dir, "secrets")).want(t, 0, nil, nil)
		line := on.line("-n", "--net", "none", "--volume", "data="+data+":/data", "--key-file", "data="+key, volumeImage(t, on, volcmdPkg, "--luks"), "sum", "/data")
		r := run(t, line...)
		r.want(t, 0, nil, nil)
		command := strings.ReplaceAll(r.stdout, volumeImage(t, on, volcmdPkg, "--luks"), volumeImage(t, on, volcmdPkg, tt.flags...))
		if got := byHand(t, dir, command); !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q is missing in\n%s", name, tt.want, got)
		}
	}
}

// byHand returns what a command prints that starts a virtual machine without the tool.
func byHand(t *testing.T, dir, command string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), xtest.NeedCommand(t, "sh", "dash"), "-c", "timeout 60 "+command)
	cmd.Dir = dir
	out, _ := cmd.CombinedOutput()
	return strings.ReplaceAll(string(out), "\r", "")
}

// Without the tool, the guest keeps what is its own, however a path to that is written.
func TestVolumeOwnByHand(t *testing.T) {
	on := targetMicroVM(t)
	conf := confVolume(t, "")
	r := run(t, on.line("-n", "--net", "none", "--volume", "data="+conf+":/data:ro", volumeImage(t, on, volcmdPkg), "sum", "/data")...)
	r.want(t, 0, []string{":/data:ro"}, nil)
	for path, want := range map[string]string{
		"/x/../etc": "at /etc: /etc is", "/run//secrets/x": "at /run/secrets/x: /run/secrets is", "/proc/": "at /proc: /proc is",
	} {
		if got := byHand(t, t.TempDir(), strings.ReplaceAll(r.stdout, ":/data:ro", ":"+path+":ro")); !strings.Contains(got, "volume data cannot be mounted "+want+" the system's own") {
			t.Errorf("%s: %q is missing in\n%s", path, want, got)
		}
	}
}
