package inventory

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

func TestMain(m *testing.M) { os.Exit(vmtest.Main(m)) }

const (
	hello   = "../../examples/hello"
	website = "../../examples/website"
)

// report describes a package built for a target, with its graph.
func report(t *testing.T, args ...string) *Report {
	t.Helper()
	cmd := exec.Command(vmtest.Tool(t), append([]string{"describe", "--json", "--lines"}, args...)...)
	cmd.Stderr = new(bytes.Buffer)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, cmd.Stderr)
	}
	r := new(Report)
	if err := json.Unmarshal(out, r); err != nil {
		t.Fatal(err)
	}
	addsUp(t, r)
	return r
}

// addsUp checks the sums of a report.
func addsUp(t *testing.T, r *Report) {
	t.Helper()
	var layers, parts, services uint64
	for _, l := range r.Layers {
		layers += l.Bytes
		if l.Code+l.Data != l.Bytes {
			t.Errorf("layer %s: %d and %d bytes are not %d", l.Name, l.Code, l.Data, l.Bytes)
		}
	}
	for _, n := range r.Parts {
		parts += n
	}
	for _, s := range r.Services {
		services += s.Bytes
	}
	info, err := os.Stat(r.File)
	if err != nil {
		t.Fatal(err)
	}
	if size := uint64(info.Size()); layers != size || parts != size || r.Bytes != size {
		t.Errorf("layers have %d bytes, parts %d, the report says %d, the file has %d", layers, parts, r.Bytes, size)
	}
	if services == 0 && r.Kind != kindUnix || services > r.Bytes {
		t.Errorf("services have %d bytes of %d", services, r.Bytes)
	}
	if len(r.Services)+len(r.Absent) != len(known) {
		t.Errorf("%d services are linked, %d are not, %d are known", len(r.Services), len(r.Absent), len(known))
	}
}

func (r *Report) find(name string) *Service {
	i := slices.IndexFunc(r.Services, func(s Service) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Services[i]
}

// want checks which services are and which are not.
func (r *Report) want(t *testing.T, present, absent []string) {
	t.Helper()
	for _, name := range present {
		if r.find(name) == nil {
			t.Errorf("%s is not linked", name)
		}
	}
	for _, name := range absent {
		if !slices.Contains(r.Absent, name) {
			t.Errorf("%s is not among those that are absent: %v", name, r.Absent)
		}
	}
}

func (r *Report) layer(name string) (l Layer) {
	for _, l := range r.Layers {
		if l.Name == name {
			return l
		}
	}
	return Layer{}
}

func TestHelloHasNoNetwork(t *testing.T) {
	r := report(t, hello)
	r.want(t, []string{"console", "clock", "entropy", "system calls", "machine"},
		[]string{"network", "virtio network", "virtqueues", "TLS", "CA roots", "DNS resolver", "file tree", "ext4", "time zones", "local sockets (AF_UNIX)", "system call tracer", "shared folders"})
	if l := r.layer("TCP/IP"); l.Bytes != 0 {
		t.Errorf("TCP/IP has %d bytes", l.Bytes)
	}
	if shared := r.layer("of several packages").Bytes; shared > r.Bytes/5 {
		t.Errorf("%d of %d bytes are of several packages", shared, r.Bytes)
	}
	if r.Kind != "vm" || r.Target != "hvt" || r.Note == nil || len(r.Warnings) != 0 {
		t.Errorf("kind %s, target %s, note %v, warnings %v", r.Kind, r.Target, r.Note, r.Warnings)
	}
	chain := r.find("entropy").Imports
	if len(chain) < 3 || chain[0] != "github.com/tailor-os/tailor/examples/hello" || chain[len(chain)-1] != "Tailor/entropy" {
		t.Errorf("entropy comes by %v", chain)
	}
}

func TestWebsiteHasNetworkButNoVolumes(t *testing.T) {
	r := report(t, website)
	r.want(t, []string{"network", "virtio network", "virtqueues", "TLS", "DNS resolver", "file tree", "local sockets (AF_UNIX)"},
		[]string{"ext4", "tar", "volumes", "encrypted volumes", "virtio block", "CA roots", "finding devices", "files of the image"})
	n := r.find("network")
	if n.Bytes < 1_000_000 || n.Bytes > 3_000_000 || !slices.Contains(n.Importers, "net") || !strings.Contains(n.Implementation, "gVisor") {
		t.Errorf("network: %+v", n)
	}
	for i := 1; i < len(n.Imports); i++ {
		if n.Imports[i-1] == "net" && n.Imports[i] != "Tailor/boot/network" {
			t.Errorf("network comes by %v", n.Imports)
		}
	}
	if !slices.Equal(r.Note.Devices, []string{"net"}) {
		t.Errorf("the note has devices %v", r.Note.Devices)
	}
}

func TestPlainProcessUsesTheHost(t *testing.T) {
	r := report(t, "-t", "unix", website)
	r.want(t, []string{"network", "TLS", "file tree", "CA roots"}, []string{"virtio network", "virtqueues"})
	if n := r.find("network"); n.Bytes != 0 || n.Implementation != "the host's sockets" || n.Imports == nil {
		t.Errorf("network: %+v", n)
	}
	if r.Kind != "unix" || r.Note != nil || r.layer("library OS").Bytes != 0 || r.layer("machine").Bytes != 0 {
		t.Errorf("kind %s, note %v, layers %v", r.Kind, r.Note, r.Layers)
	}
}

func TestVirtioFindsDevices(t *testing.T) {
	r := report(t, "-t", "virtio", hello)
	r.want(t, []string{"finding devices", "console"}, []string{"network"})
	if r.Kind != "virtio" || r.Target != "virtio" || len(r.Warnings) != 0 {
		t.Errorf("kind %s, target %s, warnings %v", r.Kind, r.Target, r.Warnings)
	}
}

// What flags ask for is there.
func TestTracerAndFiles(t *testing.T) {
	r := report(t, "--trace", "syscalls", "--file", "inventory_test.go:/x", hello)
	r.want(t, []string{"system call tracer", "files of the image", "file tree"}, []string{"network"})
	info, err := os.Stat("inventory_test.go")
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Parts[string(anatomy.Files)]; got < uint64(info.Size()) || got%4096 != 0 {
		t.Errorf("files have %d bytes, the one has %d", got, info.Size())
	}
}

func TestVolumesAreSeen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.img")
	if out, err := exec.Command(vmtest.Tool(t), "build", "--needs", "data", "-o", path, hello).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := report(t, path)
	r.want(t, []string{"volumes", "ext4", "tar", "virtio block", "virtqueues"}, []string{"network", "encrypted volumes"})
	if r.find("ext4").Imports != nil || !strings.Contains(strings.Join(r.Unknown, "\n"), "who imports what") {
		t.Errorf("an image says who imports ext4: %v; unknown: %v", r.find("ext4").Imports, r.Unknown)
	}
}

func TestEncryptedVolumesAreSeen(t *testing.T) {
	r := report(t, "--luks", hello)
	r.want(t, []string{"volumes", "encrypted volumes", "ext4"}, []string{"network"})
	if e := r.find("encrypted volumes"); e.Bytes < 10_000 || e.Bytes > 100_000 || !slices.Contains(e.Imports, "Tailor/boot/volumes/luks") {
		t.Errorf("%+v", e)
	}
}

// What shows disks brings no file system that is written to, encrypted or not.
func TestDisksAreSeen(t *testing.T) {
	r := report(t, "--disk", "data", "--luks", hello) // as test/e2e builds images, so that much is compiled once
	r.want(t, []string{"disks", "encrypted volumes", "virtio block", "virtqueues"}, []string{"network", "ext4"})
}

// A note that says what is not so is not believed.
func TestForgedNote(t *testing.T) {
	data, err := os.ReadFile(vmtest.Image(t, "hvt", hello))
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.LastIndex(data, []byte(`"target":"hvt"`))
	if at < 0 {
		t.Fatal("no note")
	}
	note := data[at-64:]
	for old, forged := range map[string]string{`"hvt"`: `"vmx"`, "examples/hello": "examples/other", `"go":"go1`: `"go":"go9`} {
		n := bytes.Index(note, []byte(old))
		if n < 0 {
			t.Fatalf("no %s in the note", old)
		}
		copy(note[n:], forged)
	}
	path := filepath.Join(t.TempDir(), "forged.img")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	r := report(t, path)
	if len(r.Warnings) != 3 || r.Kind != "vm" || r.Package != "github.com/tailor-os/tailor/examples/hello" || r.Go[:4] != "go1." {
		t.Errorf("kind %s, package %s, %s, warnings %q", r.Kind, r.Package, r.Go, r.Warnings)
	}
}

func TestLayers(t *testing.T) {
	m := modules{"example.com/m", []string{"example.com/m/v2", "golang.org/x/sys"}}
	for _, c := range []struct {
		pkg, file string
		want      layer
	}{
		{"", "", layerShared},
		{"main", "x/main.go", layerApp},
		{"example.com/m/a", "", layerApp},
		{"example.com/m/v2/a", "", "module example.com/m/v2"},
		{"golang.org/x/sys/unix", "", "module golang.org/x/sys"},
		{"github.com/o/r/p", "/root/go/pkg/mod/github.com/o/r@v1.2.3/p/x.go", "module github.com/o/r"},
		{"github.com/o/r/p", "github.com/o/r@v1.2.3/p/x.go", "module github.com/o/r"},
		{"net/http", "net/http/server.go", layerStd},
		{"crypto/tls", "", layerTLS},
		{"crypto/aes", "", layerCrypto},
		{"runtime", "runtime/tailor_event.go", layerMachine},
		{"runtime", "runtime/proc.go", layerRuntime},
		{"Tailor/libos", "", layerLibos},
		{"Tailor/libos/extfs", "", layerFiles},
		{"Tailor/virtio/netdev", "", layerDrivers},
		{"Tailor/gvisor/tcpip", "", layerTCPIP},
	} {
		if got := m.layerOf(anatomy.Owner{Package: c.pkg, File: c.file}); got != c.want {
			t.Errorf("%s in %s is of %q, want %q", c.pkg, c.file, got, c.want)
		}
	}
}

// Each package that images may link is of a service, so that none goes missing.
func TestGuestPackagesAreOfServices(t *testing.T) {
	for _, top := range []string{"block", "boot", "entropy", "libos", "logs", "metrics", "names", "netstack", "ntp", "params", "virtio", "volume"} {
		err := filepath.WalkDir("../../"+top, func(path string, d fs.DirEntry, err error) error {
			name := d.Name()
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			dir, _ := filepath.Rel("../..", filepath.Dir(path))
			if strings.HasSuffix(dir, "test") || strings.Contains(dir, "testdata") {
				return nil
			}
			if pkg := "Tailor/" + dir; owner(pkg, pkg+"/"+name) < 0 {
				t.Errorf("%s is of no service: add it to one, or a new one, in services.go", pkg)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// The tables of the other release are read as well.
func TestOtherRelease(t *testing.T) {
	xtest.NeedModule(t, "golang.org/toolchain@v0.0.1-go1.27.4.linux-amd64")
	t.Setenv("GOTOOLCHAIN", "go1.27.4")
	r := report(t, hello)
	r.want(t, []string{"console", "entropy", "machine"}, []string{"network"})
	types := r.Parts[string(anatomy.Types)]
	if r.Go != "go1.27.4" || types < 100_000 || r.layer("of several packages").Bytes > r.Bytes/5 {
		t.Errorf("%s, %d bytes of types, layers %v", r.Go, types, r.Layers)
	}
}

func TestShortestChain(t *testing.T) {
	g := &Graph{Main: "m", Imports: map[string][]string{"m": {"c", "b", "a"}, "a": {"x"}, "b": {"x"}, "c": {"d"}, "d": {"y"}, "x": {"m"}}}
	chains := g.chains()
	for to, want := range map[string][]string{"m": {"m"}, "x": {"m", "a", "x"}, "y": {"m", "c", "d", "y"}, "runtime": {"m", "runtime"}, "z": nil} {
		if got := chains[to]; !reflect.DeepEqual(got, want) {
			t.Errorf("chain to %s: %v, want %v", to, got, want)
		}
	}
	if got := shortest(chains, []string{"z", "y", "x"}); len(got) != 3 {
		t.Errorf("the shortest chain is %v", got)
	}
	if got := g.importers([]string{"x", "y"}); !slices.Equal(got, []string{"a", "b", "d"}) {
		t.Errorf("importers are %v", got)
	}
}

// The graph is one that Graphviz reads: each edge's ends are quoted, whatever
// their names are.
func TestDOT(t *testing.T) {
	r := &Report{Package: `a"b\`, Services: []Service{{Name: "s", Implementation: `"i"`, Bytes: 1234, Imports: []string{`a"b\`, "c"}}}}
	var b strings.Builder
	if err := r.WriteDOT(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"digraph program {\n", "\t\"a\\\"b\\\\\" -> \"c\";\n", "\t\"c\" -> \"service s\";\n", `label="s\n\"i\"\n1,234 bytes"`, "}\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in:\n%s", want, b.String())
		}
	}
}

// Patterns of the table name things that exist, so that a renamed file cannot
// silently take a service out of the reports.
func TestPatternsMatchSources(t *testing.T) {
	for _, s := range known {
		patterns := slices.Clone(s.owns)
		for _, impl := range s.impls {
			patterns = append(patterns, impl.signs...)
		}
		for _, p := range patterns {
			dir, isTailor := strings.CutPrefix(strings.TrimSuffix(string(p), "/..."), "Tailor/")
			if machine, ok := strings.CutPrefix(string(p), "runtime/tailor_"); ok {
				dir, isTailor = "machine/"+machine, true
			}
			if !isTailor || slices.Contains([]string{"gvisor", "btree", "time/rate", "exp", "zones", "linked"}, dir) {
				continue
			}
			if found, err := filepath.Glob("../../" + dir); err != nil || len(found) == 0 {
				t.Errorf("%s: %s matches nothing", s.name, p)
			}
		}
	}
}
