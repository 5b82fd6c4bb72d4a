package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

const volcmdPkg = "./testdata/volcmd"

// volcmd starts a command of the guest on the volume "data", with more flags of run.
func volcmd(t *testing.T, on target, data string, flags []string, stdin io.Reader, args ...string) *vmtest.Proc {
	t.Helper()
	line := append(on.line("--volume", "data="+data), flags...)
	line = append(append(line, volumeImage(t, on, volcmdPkg)), args...)
	return vmtest.Setting{Stdin: stdin, Limit: 2 * time.Minute}.Start(t, line...)
}

// A volume that is written to is one machine's; one that is only read is anybody's.
func TestVolumeLocks(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		data := dataVolume(t, "16M")
		stdin, w := io.Pipe()
		first := volcmd(t, on, data+":/data", nil, stdin, "hold", "/data/f")
		first.Expect("ready\n")
		for _, kind := range []string{"", ":ro"} {
			r := volcmd(t, on, data+":/data"+kind, nil, nil, "sum", "/data").Wait()
			r.Want(t, 125, nil, []string{data + " is in use by process ", "hint: "})
		}
		io.WriteString(w, "sync\n")
		first.Expect("sync: <nil>\n") // undisturbed
		w.Close()
		first.Wait().Want(t, 0, nil, nil)
		var readers []*vmtest.Proc
		var pipes []*io.PipeWriter
		for range 2 {
			stdin, w := io.Pipe()
			readers, pipes = append(readers, volcmd(t, on, data+":/data:ro", nil, stdin, "twice", "/data")), append(pipes, w)
		}
		for _, p := range readers {
			p.Expect("sum 1 5\n")
		}
		for i, p := range readers { // both are there
			io.WriteString(pipes[i], "\n")
			p.Expect("sum 1 5\nsum 1 5\n")
		}
		r := volcmd(t, on, data+":/data", nil, nil, "sum", "/data").Wait()
		r.Want(t, 125, nil, []string{" is in use by process "})
		for i, p := range readers {
			pipes[i].Close()
			p.Wait().Want(t, 0, nil, nil)
		}
	})
}

// A full volume says so; what is on it can be read, and removed.
func TestVolumeFull(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		data := dataVolume(t, "4M")
		volcmd(t, on, data+":/data", nil, nil, "fill", "/data").Wait().
			Want(t, 0, []string{"full: no space left on device\n", "read true\n", "written again\n"}, nil)
		checkVolume(t, data, false)
	})
}

// What is read-only cannot be changed, each way of trying it says so, and it is
// the same byte for byte.
func TestVolumeReadOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	write(t, dir, map[string]string{"f": "text", "d/x": "x"})
	tarFile, ext := dir+".tar", dataVolume(t, "8M")
	run(t, "volume", "pack", tarFile, dir+"/").want(t, 0, nil, nil)
	for _, name := range []string{"f", "d"} {
		run(t, "volume", "cp", "-r", filepath.Join(dir, name), ext+":/").want(t, 0, nil, nil)
	}
	for _, volume := range []string{tarFile, ext} {
		before, err := os.ReadFile(volume)
		if err != nil {
			t.Fatal(err)
		}
		eachVolumeTarget(t, func(t *testing.T, on target) {
			r := volcmd(t, on, volume+":/data:ro", nil, nil, "readonly", "/data").Wait()
			r.Want(t, 0, []string{`f "text"` + "\n"}, nil)
			if n := strings.Count(r.Stdout, ": read-only file system\n"); n != 13 {
				t.Errorf("%d of 13 changes are refused with EROFS:\n%s", n, r.Stdout)
			}
		})
		if after, err := os.ReadFile(volume); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed (%v)", volume, err)
		}
	}
}

// The file of a volume goes away or is cut short beneath a machine that runs: the
// program sees EIO, the tool says why, once, and nothing hangs. QEMU has the file
// itself, and keeps what has no name.
func TestVolumeGone(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"removed":   os.Remove,
		"cut short": func(path string) error { return os.Truncate(path, 1<<20) },
	} {
		eachVolumeTarget(t, func(t *testing.T, on target) {
			data := dataVolume(t, "16M")
			stdin, w := io.Pipe()
			p := volcmd(t, on, data+":/data", nil, stdin, "hold", "/data/f")
			p.Expect("ready\n")
			io.WriteString(w, "sync\n")
			p.Expect("sync: <nil>\n")
			if err := spoil(data); err != nil {
				t.Fatal(err)
			}
			ours := on.has(ourMonitor)
			io.WriteString(w, "sync\nread\nsync\nread\nend\n")
			w.Close()
			r := p.Wait()
			n := strings.Count(r.Stdout, "sync: input/output error\n") + strings.Count(r.Stdout, "sync: read-only file system\n")
			if ours && (n != 2 || !strings.Contains(r.Stdout, "input/output error")) || strings.Count(r.Stdout, "read: ") != 2 {
				t.Errorf("%s:\n%s", name, r.Stdout)
			}
			if n := strings.Count(r.Stderr, name+" "); ours && n != 1 || strings.Contains(r.Stderr, "goroutine ") {
				t.Errorf("%s: %d reports of the tool's:\n%s", name, n, r.Stderr)
			}
		})
	}
}

// Volumes that are damaged, too short, of a wrong size or empty are refused with a
// reason, or work as far as they can. None makes a machine hang or panic.
func TestVolumeDamaged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	write(t, dir, map[string]string{"f": strings.Repeat("text", 10000), "d/x": "x"})
	tarFile, ext := dir+".tar", dataVolume(t, "8M")
	run(t, "volume", "pack", tarFile, dir+"/").want(t, 0, nil, nil)
	for _, name := range []string{"f", "d"} {
		run(t, "volume", "cp", "-r", filepath.Join(dir, name), ext+":/").want(t, 0, nil, nil)
	}
	read := func(path string) []byte {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	good, packed := read(ext), read(tarFile)
	spoiled := func(data []byte, from, to int) []byte {
		data = bytes.Clone(data)
		r := rand.New(rand.NewPCG(1, 2))
		for i := from; i < to; i++ {
			data[i] = byte(r.Uint32())
		}
		return data
	}
	eachVolumeTarget(t, func(t *testing.T, on target) {
		for name, tt := range map[string]struct {
			data   []byte
			kind   string
			stderr string
		}{
			"empty":               {nil, "", "is empty, not a volume"},
			"no whole sectors":    {good[:len(good)-100], "", "not a number of whole sectors"},
			"ext4 cut short":      {good[:4<<20], "", "volume data: "},
			"ext4 of one sector":  {good[:512], ":ro", "volume data: "},
			"superblock spoiled":  {spoiled(good, 1024+60, 2048), "", "volume data: "},
			"descriptors spoiled": {spoiled(good, 4096, 8192), "", "volume data: "},
			"zeros":               {make([]byte, 1<<20), "", "no file system that is known"},
			"tar cut short":       {packed[:len(packed)/2&^511], ":ro", "volume data: "},
			"tar without its end": {packed[:len(packed)-1024], ":ro", "the archive is cut short: no block of zeros ends it"},
			"tar spoiled":         {spoiled(packed, 100, 400), ":ro", "volume data: "},
		} {
			path := filepath.Join(t.TempDir(), "v.img")
			if err := os.WriteFile(path, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			r := volcmd(t, on, path+":/data"+tt.kind, nil, nil, "sum", "/data").Wait()
			if r.Code != 125 || !strings.Contains(r.Stderr, tt.stderr) || strings.Contains(r.Stderr, "goroutine ") {
				t.Errorf("%s: exit code %d, stderr must have %q:\n%s%s", name, r.Code, tt.stderr, r.Stdout, r.Stderr)
			}
		}
	})
}

// go test's tests can have their temporary folders on a volume, one package after
// the other, and results of such tests are not cached.
func TestVolumeGoTest(t *testing.T) {
	if testing.Short() {
		t.Skip("builds tests of the standard library")
	}
	xtest.NeedKVM(t)
	data := dataVolume(t, "64M")
	for range 2 {
		args := []string{"test", "--volume", "v=" + data + ":/vol", "-e", "TMPDIR=/vol", "-short", "io/ioutil", "path/filepath"}
		r := vmtest.Setting{Limit: 5 * time.Minute, Dir: t.TempDir()}.Start(t, args...).Wait()
		r.Want(t, 0, []string{"ok  \tio/ioutil\t", "ok  \tpath/filepath\t"}, nil)
		if strings.Contains(r.Stdout, "(cached)") {
			t.Errorf("results with a volume were cached:\n%s", r.Stdout)
		}
	}
	checkVolume(t, data, false)
}

// Package testing/fstest is content with a mounted volume.
func TestVolumeTestFS(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		data := dataVolume(t, "8M")
		volcmd(t, on, data+":/data", nil, nil, "testfs", "/data").Wait().Want(t, 0, []string{"TestFS is content\n"}, nil)
		dir := filepath.Join(t.TempDir(), "out")
		run(t, "volume", "cp", "-r", data+":/", dir).want(t, 0, nil, nil)
		tarFile := dir + ".tar"
		run(t, "volume", "pack", tarFile, dir+"/").want(t, 0, nil, nil)
		for _, volume := range []string{data, tarFile} {
			volcmd(t, on, volume+":/data:ro", nil, nil, "testfs", "/data", "ro").Wait().Want(t, 0, []string{"TestFS is content\n"}, nil)
		}
	})
}
