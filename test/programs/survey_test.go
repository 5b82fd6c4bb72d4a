package programs

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/vmtest"
	"github.com/tailor-os/tailor/internal/xtest"
)

var survey = flag.Bool("survey", false, "build, boot and ask the programs of docs/ecosystem.md, and print its table")

// A candidate is a program of the survey: it is built, booted and asked once.
// One without a question is run to its end.
type candidate struct {
	pkg   string // IMPORTPATH@VERSION, or a folder of testdata/survey
	names string // for a folder: the modules that it is about
	flags []string
	args  []string
	port  string // of a question
	path  string // of an HTTP question
	send  string // of a question over TCP, where path is ""
	says  string // part of the answer, or of standard output

	fails string // part of what it prints where it is known not to work
}

var candidates = []candidate{
	// Programs, as their modules have them.
	{pkg: "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9", args: []string{"respond", "--listen", ":8080", "hello from caddy"}, port: "8080/tcp", path: "/", says: "hello from caddy"},
	{pkg: "github.com/nats-io/nats-server/v2@v2.15.2", args: []string{"-a", "0.0.0.0", "-js", "-sd", "/tmp/nats"}, port: "4222/tcp", send: "CONNECT {\"verbose\":true}\r\nPING\r\n", says: "\r\n+OK\r\nPONG\r\n"},
	{pkg: "github.com/mccutchen/go-httpbin/v2/cmd/go-httpbin@v2.26.0", args: []string{"-host", "0.0.0.0"}, port: "8080/tcp", path: "/get?n=1", says: `"n"`},
	{pkg: "github.com/mochi-mqtt/server/v2/examples/tcp@v2.7.9", port: "1883/tcp", send: "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", says: "\x20\x02\x00\x00"},
	{pkg: "github.com/coredns/coredns@v1.15.0", args: []string{"-p", "53"}, port: "53/tcp", send: "\x00\x1d\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x06whoami\x04test\x00\x00\x01\x00\x01", says: "whoami"},
	{pkg: "github.com/evanw/esbuild/cmd/esbuild@v0.28.2", args: []string{"--version"}, says: "0.28.2"},
	{pkg: "github.com/traefik/yaegi/cmd/yaegi@v0.16.1", args: []string{"run", "-e", `fmt.Println("interpreted", 6*7)`}, says: "interpreted 42"},

	// Libraries.
	{pkg: "chi", names: "github.com/go-chi/chi/v5", port: "8080/tcp", path: "/hello/you", says: "hello, you"},
	{pkg: "echo", names: "github.com/labstack/echo/v4", port: "8080/tcp", path: "/hello/you", says: "hello, you"},
	{pkg: "gin", names: "github.com/gin-gonic/gin", port: "8080/tcp", path: "/hello/you", says: "hello, you"},
	{pkg: "fiber", names: "github.com/gofiber/fiber/v2", port: "8080/tcp", path: "/hello/you", says: "hello, you"},
	{pkg: "templ", names: "github.com/a-h/templ", port: "8080/tcp", path: "/", says: "hello, a &lt;guest&gt;"},
	{pkg: "logging", names: "go.uber.org/zap github.com/rs/zerolog", says: "by zerolog"},
	{pkg: "cli", names: "github.com/spf13/cobra github.com/spf13/viper", flags: []string{"-e", "MARK=?"}, args: []string{"greet", "you", "--times", "2"}, says: "hello you?\nhello you?\n"},
	{pkg: "raft", names: "github.com/hashicorp/raft", says: "three nodes agree on entry 99"},
	{pkg: "etcd", names: "go.etcd.io/etcd/server/v3 go.etcd.io/etcd/client/v3", says: "revision 2: value"},
	{pkg: "badger", names: "github.com/dgraph-io/badger/v4", says: "value 4711"},
	{pkg: "pebble", names: "github.com/cockroachdb/pebble/v2", says: "value 4711"},
	{pkg: "migrate", names: "github.com/golang-migrate/migrate/v4", says: "version 2 false"},
	{pkg: "gorm", names: "gorm.io/gorm github.com/glebarez/sqlite", says: "row 1 Ada"},
	{pkg: "goredis", names: "github.com/redis/go-redis/v9 github.com/tidwall/redcon", says: "key is value"},
	{pkg: "minio", names: "github.com/minio/minio-go/v7", says: "true true"},
	{pkg: "kubernetes", names: "k8s.io/client-go", says: "pods: web-1"},
	{pkg: "gopacket", names: "github.com/google/gopacket", says: "192.0.2.1->192.0.2.2 payload"},
	{pkg: "wazero", names: "github.com/tetratelabs/wazero (default)", says: "add: 42"},
	{pkg: "wazero", names: "github.com/tetratelabs/wazero (compiler)", args: []string{"compiler"}, fails: "permission denied"},
	{pkg: "goja", names: "github.com/dop251/goja", says: "hello, a; hello, b"},
	{pkg: "otel", names: "go.opentelemetry.io/otel", says: `"Name":"a span"`},
}

// TestSurvey repeats what docs/ecosystem.md tells, with -survey. It takes long:
// make survey.
func TestSurvey(t *testing.T) {
	if !*survey {
		t.Skip("takes long, runs with -survey (make survey)")
	}
	for _, c := range candidates {
		t.Run(strings.NewReplacer("/", "_", " ", "_").Replace(c.name()), c.test)
	}
}

func (c candidate) name() string {
	if c.names != "" {
		return c.names
	}
	return c.pkg
}

func (c candidate) test(t *testing.T) {
	pkg := "./testdata/survey/" + c.pkg
	if path, version, ok := strings.Cut(c.pkg, "@"); ok {
		pkg = c.pkg
		needModuleOf(t, path, version)
	}
	var ports []string
	if c.port != "" {
		ports = []string{c.port}
	}
	g := targets[0].bootWith(t, pkg, c.flags, ports, c.args...)
	var took time.Duration
	if c.port == "" {
		took = c.finish(t, g)
	} else {
		g.answers(func() error { return c.ask(g) })
		took = time.Since(g.started)
	}
	if t.Failed() {
		return
	}
	info, err := os.Stat(vmtest.Image(t, "hvt", pkg))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("| %s | %s | %.1f MB | %.0f ms |\n", c.versions(t), c.result(), float64(info.Size())/1e6, float64(took.Microseconds())/1e3)
}

// needModuleOf is xtest.NeedModule for a package, whose module is one of the
// beginnings of its path.
func needModuleOf(t *testing.T, path, version string) {
	t.Helper()
	module := path
	for _, dir := range []string{"/cmd/", "/examples/"} {
		module, _, _ = strings.Cut(module, dir)
	}
	xtest.NeedModule(t, module+"@"+version)
}

func (c candidate) result() string {
	if c.fails != "" {
		return "does not"
	}
	return "works"
}

// finish waits for a program that ends by itself.
func (c candidate) finish(t *testing.T, g *guest) time.Duration {
	r := g.Wait()
	ok := r.Code == 0 && strings.Contains(r.Stdout, c.says)
	if c.fails != "" {
		ok = strings.Contains(r.Stderr+r.Stdout, c.fails)
	}
	if !ok {
		t.Errorf("exit code %d, stdout %q, stderr %q", r.Code, vmtest.Clip(r.Stdout), vmtest.Clip(r.Stderr))
	}
	return r.Took
}

// ask asks the one question.
func (c candidate) ask(g *guest) error {
	if c.path == "" {
		return exchange(g.addrs[c.port], c.send, c.says)
	}
	resp, err := http.Get("http://" + g.addrs[c.port] + c.path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || !strings.Contains(string(body), c.says)) {
		err = fmt.Errorf("%s: %q", resp.Status, body)
	}
	return err
}

// versions returns the columns of module and version.
func (c candidate) versions(t *testing.T) string {
	if path, version, ok := strings.Cut(c.pkg, "@"); ok {
		return fmt.Sprintf("`%s` | %s", path, version)
	}
	text, err := os.ReadFile("testdata/survey/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var names, versions []string
	for _, word := range strings.Fields(c.names) {
		if strings.HasPrefix(word, "(") {
			names[len(names)-1] += " " + word
			continue
		}
		names = append(names, "`"+word+"`")
		fields := strings.Fields(string(text))
		versions = append(versions, fields[slices.Index(fields, word)+1])
	}
	return strings.Join(names, ", ") + " | " + strings.Join(versions, ", ")
}
