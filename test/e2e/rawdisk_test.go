package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
)

const diskPkg = "./testdata/diskguest"

var diskImages sync.Map // by what it is built for

// diskImage builds the program that uses the disk "data", once.
func diskImage(t *testing.T, on target) string {
	t.Helper()
	built, _ := diskImages.LoadOrStore(on.build, sync.OnceValues(func() (string, result) {
		img := filepath.Join(vmtest.Dir(), "diskguest-"+on.build)
		line := []string{"build", "-t", on.build, "-o", img}
		if on.has(ownFiles) { // a plain process takes what it is given
			line = append(line, "--disk", "data", "--luks")
		}
		return img, run(t, append(line, diskPkg)...)
	}))
	img, r := built.(func() (string, result))()
	r.want(t, 0, nil, nil)
	return img
}

// onDisk starts a command of it on a disk.
func onDisk(t *testing.T, on target, flags []string, stdin io.Reader, args ...string) *vmtest.Proc {
	t.Helper()
	line := append(on.line(flags...), diskImage(t, on))
	return vmtest.Setting{Stdin: stdin, Limit: time.Minute}.Start(t, append(line, args...)...)
}

// rawDisk makes a disk of zeros.
func rawDisk(t *testing.T, size int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "raw disk.img")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A program finds the disk that it was given, with one import on every target, and
// as a file too where there are none but its own.
func TestDisk(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		path := rawDisk(t, 4<<20)
		data := []string{"--disk", "data=" + path}
		onDisk(t, on, data, nil, "info").Wait().Want(t, 0, []string{
			"names data\n", "data 4194304 512 false\n", "again: data true true\n", `disk: there is no disk "other"; there are: data true` + "\n"}, nil)
		onDisk(t, on, data, nil, "files").Wait().Want(t, 0, []string{
			fmt.Sprintln("device", on.has(ownFiles)), "at the end: 10 EOF\n", "not a whole number of sectors. <nil>\n"}, nil)
		if on.has(ownFiles) {
			onDisk(t, on, data, nil, "files").Wait().Want(t, 0, []string{"beyond: 0 true\n", "truncate: true\n"}, nil)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := onDisk(t, on, []string{"--disk", "data=" + path + ":ro"}, nil, "readonly").Wait()
		r.Want(t, 0, []string{"true <nil> true\n"}, nil)
		if strings.Count(r.Stdout, "refused: true\n") != 3 || strings.Count(r.Stdout, "out of range: true\n") != 3 {
			t.Errorf("what cannot be done is not refused:\n%s", r.Stdout)
		}
		if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
			t.Errorf("a disk that is only read was changed (%v)", err)
		}
	})
}

// Sixteen goroutines read and write at random, and find what they wrote; another goes
// on meanwhile.
func TestDiskConcurrent(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		path := rawDisk(t, 16<<20)
		r := onDisk(t, on, []string{"--disk", "data=" + path}, nil, "work", fmt.Sprint(on.times(400))).Wait()
		r.Want(t, 0, nil, nil)
		var calls, ticks, ms int
		if _, err := fmt.Sscanf(r.Stdout, "calls %d ticks %d milliseconds %d", &calls, &ticks, &ms); err != nil || calls != 16*on.times(400) {
			t.Fatalf("%v: %s", err, r.Stdout)
		}
		t.Logf("%d calls in %d ms, %d ticks", calls, ms, ticks)
		if ticks < max(1, ms/200) { // far fewer than it could, on a busy machine too
			t.Errorf("in %d ms, a goroutine that waits for 1 ms came to run %d times", ms, ticks)
		}
	})
}

// The file is cut short beneath a program: it sees an error, and nothing hangs.
func TestDiskCut(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		path := rawDisk(t, 4<<20)
		stdin, w := io.Pipe()
		p := onDisk(t, on, []string{"--disk", "data=" + path}, stdin, "hold")
		p.Expect("ready\n")
		io.WriteString(w, "write\nflush\n")
		p.Expect("flush failed false true\n")
		if r := onDisk(t, on, []string{"--disk", "data=" + path}, nil, "info").Wait(); r.Code != 125 || !strings.Contains(r.Stderr, path+" is in use by process ") {
			t.Errorf("a second user: exit code %d\n%s", r.Code, r.Stderr)
		}
		if err := os.Truncate(path, 1<<20); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, "read\nflush\n")
		w.Close()
		r := p.Wait()
		want := []string{"read failed true false\n", "flush failed true false\n"}
		if !on.has(ourMonitor) && on.has(ownFiles) { // QEMU reads zeros, and does not look at the file when it flushes
			want = []string{"flush failed "}
		}
		r.Want(t, 0, want, nil)
	})
}

// What is wrong with a disk is said before the program begins.
func TestDiskRefused(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		path, second, dir := rawDisk(t, 1<<20), rawDisk(t, 1<<20), t.TempDir()
		odd, empty := filepath.Join(dir, "odd"), filepath.Join(dir, "empty")
		for file, size := range map[string]int{odd: 1000, empty: 0} {
			if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		data := []string{"--disk", "data=" + path}
		for name, tt := range map[string]struct {
			flags  []string
			stderr string
		}{
			"no such file":  {[]string{"--disk", "data=" + dir + "/none"}, "there is no file " + dir + "/none"},
			"a folder":      {[]string{"--disk", "data=" + dir}, "disk data: " + dir + " is a folder\n"},
			"an empty file": {[]string{"--disk", "data=" + empty}, "disk data: " + empty + " is empty\n"},
			"a part sector": {[]string{"--disk", "data=" + odd}, "not a number of whole sectors"},
			"two of a name": {append(data, "--disk", "data="+second), "two disks have the name"},
			"not given":     {nil, `the image needs a disk "data"`},
			"unknown":       {append(data, "--disk", "other="+second), `the image knows no disk "other"`},
			"one file":      {append(data, "--disk", "other="+path), "are both " + path},
			"key of none":   {append(data, "--key-file", "x="+path), "there is no volume or disk of that name"},
			"not encrypted": {append(data, "--key-file", "data="+path), "is not encrypted"},
			"a volume":      {append(data, "--volume", "v="+second+":/v:ro"), "not built to see volumes"},
		} {
			noted := name == "not given" || name == "unknown" || name == "a volume"
			if !on.has(ownFiles) && (noted || tt.flags[len(tt.flags)-2] == "--key-file") {
				continue // a plain process has no note, and no keys
			}
			r := onDisk(t, on, tt.flags, nil, "info").Wait()
			if r.Code != 125 || r.Stdout != "" || !strings.Contains(r.Stderr, tt.stderr) {
				t.Errorf("%s: exit code %d, stderr must have %q:\n%s%s", name, r.Code, tt.stderr, r.Stdout, r.Stderr)
			}
		}
	})
}

// A disk may be a partition, and encrypted: the program sees what is in it. Without
// a key, or the partition's number, it sees all as it is.
func TestDiskLayers(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		key := keyFile(t)
		path, parts := partitioned(t, rawDisk(t, 8<<20), rawDisk(t, 1<<20), encryptedVolume(t, key))
		part := func(n int) []string { return []string{"--disk", "data=" + path, "--partition", fmt.Sprint("data=", n)} }
		onDisk(t, on, part(1), nil, "info").Wait().Want(t, 0, []string{"data 8388608 512 false\n"}, nil)
		onDisk(t, on, part(3), nil, "info").Wait().Want(t, 0, []string{fmt.Sprintf("data %d 512 false\n", parts[2].Bytes)}, nil)
		onDisk(t, on, []string{"--disk", "data=" + path}, nil, "info").Wait().Want(t, 0, []string{"data 33554432 512 false\n"}, nil)
		inside := append(part(3), "--key-file", "data="+key)
		onDisk(t, on, inside, nil, "info").Wait().Want(t, 0, []string{fmt.Sprintf("data %d 512 false\n", parts[2].Bytes-2<<20)}, nil)
		onDisk(t, on, inside, nil, "files").Wait().Want(t, 0, []string{"not a whole number of sectors. <nil>\n"}, nil)
		after, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(after), "not a whole number") {
			t.Errorf("what was written to an encrypted disk is in the clear (%v)", err)
		}
	}, ownFiles, computing)
}
