package build

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/archive"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
)

// workspace is a program with all that can be around one.
var workspace = map[string]string{
	"go.work":              "go 1.26\n\nuse (\n\t./app\n\t./lib\n)\n\nreplace example.com/far => ./elsewhere/far\n",
	"app/go.mod":           "module example.com/app\n\ngo 1.26\n\nrequire (\n\texample.com/far v1.0.0\n\texample.com/near v1.0.0\n)\n\nreplace example.com/near => ../near\n",
	"app/cmd/main.go":      "package main\n\nimport (\n\t\"example.com/far\"\n\t\"example.com/lib\"\n\t\"example.com/near\"\n)\n\nfunc main() { println(far.N, lib.Text, near.N) }\n",
	"app/cmd/main_test.go": "package main\n",
	"app/cmd/windows.go":   "//go:build windows\n\npackage main\n",
	"app/cmd/default.pgo":  "",
	"app/unused/u.go":      "package unused\n",
	"lib/go.mod":           "module example.com/lib\n\ngo 1.26\n",
	"lib/lib.go":           "package lib\n\nimport _ \"embed\"\n\n//go:embed deep/text\nvar Text string\n",
	"lib/deep/text":        "text",
	"lib/deep/other":       "not embedded",
	"near/go.mod":          "module example.com/near\n\ngo 1.26\n",
	"near/LICENSE":         "of a module that a folder replaces",
	"app/COPYING":          "of a main module",
	"near/near.go":         "package near\n\nvar N = 1\n",
	"elsewhere/far/go.mod": "module example.com/far\n\ngo 1.26\n",
	"elsewhere/far/far.go": "package far\n\nvar N = 2\n",
	"data/x":               "x",
	"data/link":            "",
}

func makeWorkspace(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range workspace {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "data/link" {
			err = os.Symlink("x", file)
		} else {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func planOf(t *testing.T, dir string, args ...string) *Plan {
	t.Helper()
	t.Setenv("GOFLAGS", "-buildvcs=false '-ldflags=-X main.a=b' -modcacherw -gcflags=-B")
	cfg := Config{Target: HVT, Dir: filepath.Join(dir, "app"), Args: args, Tool: "v1", CacheDir: filepath.Join(t.TempDir(), "cache"), Stderr: io.Discard,
		Files: []archive.Mapping{{Src: filepath.Join(dir, "data"), Dst: "/data"}}, Needs: []string{"z", "a"}}
	p, err := New(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A copy has what go list names and no more, and is the same source.
func TestCopySource(t *testing.T) {
	p := planOf(t, makeWorkspace(t), "./cmd")
	to := t.TempDir()
	c, err := p.CopySource(context.Background(), to)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(to, path)
			got = append(got, rel)
		}
		return err
	})
	var want []string
	for name := range workspace {
		switch name {
		case "app/cmd/main_test.go", "app/cmd/windows.go", "app/unused/u.go", "lib/deep/other":
		default:
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("copied %q, want %q", got, want)
	}
	if c.Dir != filepath.Join(to, "app") || c.GOWORK != filepath.Join(to, "go.work") || !slices.Equal(c.Args, []string{"./cmd"}) {
		t.Errorf("%+v", c)
	}
	one, two := recordOf(t, p), recordOf(t, planOf(t, to, c.Args...))
	if one.Source == "" || !sameRecord(one, two) {
		t.Errorf("records differ: %+v, %+v", one, two)
	}
	if err := os.WriteFile(filepath.Join(to, "lib/deep/text"), []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if three := recordOf(t, planOf(t, to, c.Args...)); three.Source == one.Source {
		t.Error("another embedded file gives the same hash of the source")
	}
}

func recordOf(t *testing.T, p *Plan) *image.Build {
	t.Helper()
	b, err := p.record(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sameRecord(a, b *image.Build) bool {
	return a.Source == b.Source && a.Tool == b.Tool && a.Files == b.Files && slices.Equal(a.Flags, b.Flags) && slices.Equal(a.Env, b.Env) && slices.Equal(a.Args, b.Args)
}

// The record has what has an effect, and nothing of this machine.
func TestRecord(t *testing.T) {
	dir := makeWorkspace(t)
	p := planOf(t, dir, filepath.Join(dir, "app/cmd/main.go"))
	b := recordOf(t, p)
	n := p.note()
	n.Build = b
	want := "GOTOOLCHAIN=" + n.Go + " GOFLAGS=-gcflags=-B tailor build --ldflags '-X main.a=b' --needs z --needs a --file data:/data main.go"
	if got := Again(&n, nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if strings.Contains(Again(&n, nil), dir) {
		t.Error("a folder of this machine is in it")
	}
	linker := debug.BuildInfo{GoVersion: "go1.2.3 X:none", Settings: []debug.BuildSetting{{Key: "GOAMD64", Value: "v3"}}}
	if got := Again(&n, &linker); !strings.HasPrefix(got, "GOTOOLCHAIN=go1.2.3 GOAMD64=v3 GOFLAGS=") {
		t.Errorf("the note counts more than the bytes: %s", got)
	}
	n.Build = &image.Build{ // forged
		Env:   []string{"PATH=/tmp", "GO$(id)=x", "GOFLAGS=-toolexec=id -pgo=a/b.pgo", "SOURCE_DATE_EPOCH=1;id", "SOURCE_DATE_EPOCH"},
		Flags: []string{"GO$(id)=x", "SOURCE_DATE_EPOCH"}, Args: []string{"A=$(id)"},
	}
	want = "GOTOOLCHAIN=" + n.Go + " GOFLAGS=-pgo=b.pgo SOURCE_DATE_EPOCH='1;id' tailor build 'GO$(id)=x' SOURCE_DATE_EPOCH A='$(id)'"
	if got := Again(&n, nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	n.Build = nil
	if Again(&n, nil) != "" || Again(nil, nil) != "" {
		t.Error("a command without a record")
	}
}

// Each setting that an image can be built with has a flag in the record, so that a new
// one is not forgotten. Those that are left out say nothing of the bytes, or have no
// flag.
func TestEveryFieldHasAFlag(t *testing.T) {
	apart := []string{"Target", "Args", "Dir", "Output", "DefaultName", "Tags", "LDFlags", "Shares", "Format", "Services", "Files", "Tool", "CacheDir", "Stderr", "Trace"}
	flags := func(c Config) string {
		p := &Plan{cfg: c, flags: &goFlags{}}
		return strings.Join(p.Flags(func(s string) string { return s }), " ")
	}
	base := flags(Config{})
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if slices.Contains(apart, f.Name) {
			continue
		}
		var c Config
		v := reflect.ValueOf(&c).Elem().FieldByIndex(f.Index)
		switch v.Kind() {
		case reflect.Bool:
			v.SetBool(true)
		case reflect.String:
			v.SetString("x")
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"x"}))
		}
		if flags(c) == base {
			t.Errorf("Config.%s has no flag: add one to Plan.Flags", f.Name)
		}
	}
	all := Config{Target: Virtio, Format: "iso"}
	p := &Plan{cfg: all, flags: &goFlags{tags: "t", user: "-X a.b=c"}, port: port.Config{Services: Services()}}
	if got := strings.Join(p.Flags(nil), " "); got != "-t virtio --format iso --tags t --ldflags -X a.b=c --metrics --ntp --log syslog+udp --log syslog+tcp --log syslog+tls --resolver dns+cache --resolver dns+tls" {
		t.Error(got)
	}
}
