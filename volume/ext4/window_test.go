package ext4_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/volume/ext4"
)

// Files that grow at the same time, little by little, lie in long runs each.
func TestGrowTogether(t *testing.T) {
	d := newDisk(t, 64<<20)
	fs := open(t, d, ext4.Options{})
	root, _ := fs.Root()
	var files []*ext4.Inode
	for i := range 4 {
		in, err := root.Create(fmt.Sprint("log", i), ext4.Attr{Mode: ext4.ModeReg | 0o644}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Open(); err != nil {
			t.Fatal(err)
		}
		files = append(files, in)
	}
	p := bytes.Repeat([]byte("log line "), 500)
	for range 500 {
		for _, in := range files {
			if _, _, err := in.Append(p); err != nil {
				t.Fatal(err)
			}
			if err := in.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, in := range files {
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	free := fs.Usage().Free
	closeFS(t, fs)
	check(t, d)
	fsck(t, d.Bytes())
	for i := range files {
		out := debugfs(t, d.Bytes(), fmt.Sprintf("dump_extents -l log%d", i))
		n := len(regexp.MustCompile(`\d+ - +\d+ +\d+ - +\d+`).FindAllString(out, -1))
		t.Logf("log%d: %d extents", i, n)
		if n == 0 || n > 20 {
			t.Errorf("log%d of 550 blocks has %d extents:\n%s", i, n, out[:min(len(out), 500)])
		}
	}
	fs = open(t, d, ext4.Options{ReadOnly: true})
	if now := fs.Usage().Free; now != free || strings.TrimSpace(fs.ReadOnly()) == "" {
		t.Errorf("%d blocks free, were %d before closing", now, free)
	}
}
