package gotest

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree makes files, with what they hold, in a new folder.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRoot(t *testing.T) {
	dir := tree(t, "w/go.work", "w/m/go.mod", "w/m/p/p.go", "n/go.mod", "n/p/q/q.go", "none/p.go", "home/go.mod", "home/p/p.go")
	tests := []struct{ dir, home, want string }{
		{"w/m/p", "", "w"},
		{"n/p/q", "", "n"},
		{"n", "", "n"},
		{"none", "", "none"},
		// A module in the home folder itself does not share all of that.
		{"home/p", "home", "home/p"},
		{"home", "home", "home"},
		{"n/p/q", "n/p", "n/p/q"},
	}
	for _, tt := range tests {
		home := ""
		if tt.home != "" {
			home = filepath.Join(dir, tt.home)
		}
		if got := Root(filepath.Join(dir, tt.dir), home); got != filepath.Join(dir, tt.want) {
			t.Errorf("Root(%s, %s) = %s, want %s", tt.dir, tt.home, got, tt.want)
		}
	}
}

func TestNewView(t *testing.T) {
	dir := tree(t, "m/go.mod", "m/p/p.go")
	m := filepath.Join(dir, "m")
	h := Host{Dir: filepath.Join(m, "p"), Binary: "/x/go-build1/b001/p.test", GOROOT: []string{"/go"}, GOMODCACHE: filepath.Join(m, "cache")}
	v := NewView(h, []string{
		"-test.testlogfile=/x/go-build1/b001/testlog.txt", "-test.v=true", "-test.gocoverdir=/x/go-build1/b001/gocoverdir",
		"-test.outputdir=" + m, "-test.cpuprofile=cpu.out", "--test.trace=t.out", "-test.memprofile=/elsewhere/mem.out", "--", "-test.trace=x",
	})
	wantArgs := []string{
		"-test.testlogfile=/x/go-build1/b001/testlog.txt", "-test.v=true", "-test.gocoverdir=/x/go-build1/b001/gocoverdir",
		"-test.outputdir=" + m, "-test.cpuprofile=/run/tailor/5/cpu.out", "-test.trace=/run/tailor/5/t.out", "-test.memprofile=/run/tailor/6/mem.out", "--", "-test.trace=x",
	}
	if !slices.Equal(v.Args, wantArgs) {
		t.Errorf("arguments:\n%q\nwant\n%q", v.Args, wantArgs)
	}
	want := []Share{
		{Dir: "/go", Path: "/go"},
		{Dir: filepath.Join(m, "cache"), Path: filepath.Join(m, "cache")},
		{Dir: m, Path: m},
		{Dir: "/x/go-build1/b001", Path: "/x/go-build1/b001", Kind: Named, Names: []string{"testlog.txt"}},
		{Dir: "/x/go-build1/b001/gocoverdir", Path: "/x/go-build1/b001/gocoverdir", Kind: Write},
		{Dir: m, Path: "/run/tailor/5", Kind: Named, Names: []string{"cpu.out", "t.out"}},
		{Dir: "/elsewhere", Path: "/run/tailor/6", Kind: Named, Names: []string{"mem.out"}},
	}
	if len(v.Shares) != len(want) {
		t.Fatalf("shares:\n%+v\nwant\n%+v", v.Shares, want)
	}
	for i, s := range v.Shares {
		if s.Dir != want[i].Dir || s.Path != want[i].Path || s.Kind != want[i].Kind || !slices.Equal(s.Names, want[i].Names) {
			t.Errorf("share %d: %+v, want %+v", i, s, want[i])
		}
	}
}
