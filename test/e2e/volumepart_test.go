package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/xtest"
)

// A partition is where one is on a disk, in bytes.
type partition struct{ Start, Bytes int64 }

// partitioned makes a disk with a GPT, of which each partition has what is in a file.
func partitioned(t *testing.T, files ...string) (path string, parts []partition) {
	t.Helper()
	sfdisk := xtest.NeedCommand(t, "sfdisk", "fdisk")
	path = filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(sfdisk, "-q", path)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=8M, name=data\nsize=1M, name=conf\nsize=8M, name=vault\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := run(t, "volume", "info", "--json", path)
	r.want(t, 0, nil, nil)
	var info struct {
		Table struct{ Partitions []partition }
	}
	if err := json.Unmarshal([]byte(r.stdout), &info); err != nil || len(info.Table.Partitions) != len(files) {
		t.Fatalf("%v\n%s", err, r.stdout)
	}
	for i, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		spoil(t, path, info.Table.Partitions[i].Start, string(data))
	}
	return path, info.Table.Partitions
}

// A partition of a disk is a volume as a file is: with locks, read-only, encrypted,
// several of one disk at once; and nothing beside it is touched.
func TestVolumePartition(t *testing.T) {
	eachVolumeTarget(t, func(t *testing.T, on target) {
		key := keyFile(t)
		disk, parts := partitioned(t, dataVolume(t, "8M"), confVolume(t, "hostname=web-1\n"), encryptedVolume(t, key))
		before, err := os.ReadFile(disk)
		if err != nil {
			t.Fatal(err)
		}
		volcmd(t, on, disk+":/data", nil, nil, "sum", "/data").Wait().Want(t, 125, nil, []string{
			disk + ": it is a disk with the partitions 1 data (ext4), 2 conf (tar), 3 vault (luks)\n", "hint: choose one: --partition NAME=N"})
		volcmd(t, on, disk+":/data", []string{"--partition", "data=4"}, nil, "sum", "/data").Wait().Want(t, 125, nil, []string{", and no partition 4\n"})
		first := []string{"--partition", "data=1"}
		stdin, w := io.Pipe()
		p := volcmd(t, on, disk+":/data", append(first, "--volume", "conf="+disk+":/conf:ro", "--partition", "conf=2"), stdin, "hold", "/data/f")
		p.Expect("ready\n")
		volcmd(t, on, disk+":/data:ro", first, nil, "sum", "/data").Wait().Want(t, 125, nil, []string{disk + " is in use by process "})
		io.WriteString(w, "sync\n")
		p.Expect("sync: <nil>\n")
		w.Close()
		p.Wait().Want(t, 0, nil, nil)
		volcmd(t, on, disk+":/data:ro", append(first, "--volume", "conf="+disk+":/conf:ro", "--partition", "conf=2"), nil, "sum", "/conf").Wait().
			Want(t, 0, []string{"sum 2 "}, nil)
		volcmd(t, on, disk+":/data:ro", first, nil, "write", "/data/g", "1").Wait().Want(t, 1, []string{"read-only file system"}, nil)
		volcmd(t, on, disk+":/data", append(first, "--volume", "conf="+disk+":/conf", "--partition", "conf=1"), nil, "sum", "/data").Wait().
			Want(t, 125, nil, []string{"volume data and volume conf are both " + disk})
		run(t, "volume", "cat", "--partition", "1", disk, "/f").want(t, 0, []string{"line\n"}, nil)
		run(t, "volume", "check", "--partition", "1", disk).want(t, 0, nil, nil)
		after, err := os.ReadFile(disk)
		if end := parts[0].Start + parts[0].Bytes; err != nil || !bytes.Equal(before[:parts[0].Start], after[:parts[0].Start]) || !bytes.Equal(before[end:], after[end:]) {
			t.Errorf("something beside the partition was changed (%v)", err)
		}
		luks(t, on, disk, []string{"--partition", "data=3"}, nil, "sum", "/data").Wait().Want(t, 125, nil, []string{"is encrypted"})
		luks(t, on, disk, []string{"--partition", "data=3", "--key-file", "data=" + key}, nil, "write", "/data/g", "1000").Wait().Want(t, 0, nil, nil)
		run(t, "volume", "ls", "--partition", "3", "--key-file", key, disk).want(t, 0, []string{"g\n"}, nil)
	})
}
