package port

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tailor-os/tailor"
)

// A Service is what can be linked beside a program: what uses package net cannot be
// brought in from beneath it.
type Service struct {
	Name    string // as images say what they have, and [params.ServiceOf]
	Package string // of the guest, which makes it so
}

// Services lists those that there are.
var Services = []Service{
	{"metrics", "boot/scrape"},
	{"ntp", "boot/timesync"},
	{"syslog+udp", "logs/udp"},
	{"syslog+tcp", "logs/tcp"},
	{"syslog+tls", "logs/tls"},
	{"dns+cache", "boot/names"},
	{"dns+tls", "boot/names/tls"},
}

// Linked is the import path of the package that brings what Config.Services asks
// for. Package main of the program is to import it.
const Linked = Prefix + "linked"

// logs reports whether the program's log can be sent.
func (cfg *Config) logs() bool {
	return slices.ContainsFunc(cfg.Services, func(name string) bool { return strings.HasPrefix(name, "syslog+") })
}

// resolves reports whether what the program's resolvers ask passes by a service.
func (cfg *Config) resolves() bool {
	return slices.ContainsFunc(cfg.Services, func(name string) bool { return strings.HasPrefix(name, "dns+") })
}

// NameEdits are the edits, of files of GOROOT/src, for a program whose resolvers ask a
// service.
var NameEdits = []Edit{{
	File: "net/lookup.go",
	Old:  "\t\tvar d Dialer\n\t\tc, err = d.DialContext(ctx, network, server)\n\t}\n\tif err != nil {\n\t\treturn nil, mapErr(err)\n",
	New:  "\t\tc, err = TailorResolver(ctx, network, server)\n\t}\n\tif err != nil {\n\t\treturn nil, mapErr(err)\n",
	Why:  "Every resolver that has no Dial of its own asks the service, not only net.DefaultResolver: what is to be asked over TLS is not asked in the clear.",
}}

// resolverText has the resolvers ask the network until the service is there: other
// packages may be initialized before it, since it needs more than package net.
const resolverText = `package net

import (
	"context"
	"errors"

	"Tailor/boot/parameters"
)

// TailorResolver is what resolvers reach their servers by, if they have no Dial. It is
// set before the program runs.
var TailorResolver func(ctx context.Context, network, server string) (Conn, error)

func init() { TailorResolver = tailorEarly }

func tailorEarly(ctx context.Context, network, server string) (Conn, error) {
	if parameters.Given().Get("dns-tls") != "" {
		return nil, errors.New("what asks over TLS is not initialized yet, and nothing is asked in the clear: look names up later than in an init function")
	}
	var d Dialer
	return d.DialContext(ctx, network, server)
}
`

// LogEdits are the edits, of files of GOROOT/src, for a program that sends its log.
var LogEdits = []Edit{{
	File: "syscall/syscall_unix.go",
	Old:  "\t\tn, err = write(fd, p)\n",
	New:  "\t\tif fd == 1 || fd == 2 {\n\t\t\tn, err = tailorConsole(fd, p, write)\n\t\t} else {\n\t\t\tn, err = write(fd, p)\n\t\t}\n",
	Why:  "What a program writes to the console is seen on its way there, on each target alike.",
}}

// consoleText keeps what is written before the program's log has somewhere to go:
// other packages may be initialized, and write, before package net.
const consoleText = `package syscall

import (
	"sync"
	"sync/atomic"
)

// A TailorConsole writes p to descriptor fd, which is 1 or 2, by write.
type TailorConsole func(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error)

// tailorTaken is what writes there; nil until somebody takes them.
var tailorTaken atomic.Pointer[TailorConsole]

// tailorEarly is about what was written before.
var tailorEarly struct {
	sync.Mutex
	seen func(fd int, p []byte) // gets what was on its way when they were taken
	kept [2][]byte              // by descriptor
}

const tailorMaxKept = 64 << 10 // bytes

func tailorConsole(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error) {
	if f := tailorTaken.Load(); f != nil {
		return (*f)(fd, p, write)
	}
	n, err := write(fd, p)
	if n <= 0 {
		return n, err
	}
	tailorEarly.Lock()
	defer tailorEarly.Unlock()
	if kept := &tailorEarly.kept[fd-1]; tailorEarly.seen != nil {
		tailorEarly.seen(fd, p[:n])
	} else if len(*kept)+n <= tailorMaxKept {
		*kept = append(*kept, p[:n]...)
	}
	return n, err
}

// TailorTakeConsole makes f what writes to descriptors 1 and 2. seen gets what has
// been written to them without it.
func TailorTakeConsole(f TailorConsole, seen func(fd int, p []byte)) {
	tailorEarly.Lock()
	defer tailorEarly.Unlock()
	for i, p := range tailorEarly.kept {
		seen(i+1, p)
	}
	tailorEarly.seen, tailorEarly.kept = seen, [2][]byte{}
	tailorTaken.Store(&f)
}
`

// services lays what is linked beside the program, and returns the packages it needs.
func (d *deriver) services(cfg Config) (roots []string, err error) {
	if len(cfg.Services) == 0 {
		return nil, nil
	}
	var imports, start strings.Builder
	add := func(name, pkg string) {
		root := tailor.Module + "/" + pkg
		roots = append(roots, root)
		to, _ := guestPath(root)
		fmt.Fprintf(&imports, "\t%s %q\n", name, to)
	}
	for _, s := range Services {
		if slices.Contains(cfg.Services, s.Name) {
			add("_", s.Package)
		}
	}
	if slices.Contains(cfg.Services, "metrics") && (cfg.logs() || cfg.resolves()) {
		add("metrics", "metrics")
	}
	if cfg.resolves() {
		if err := d.put("net/tailor_resolver.go", []byte(resolverText)); err != nil {
			return nil, err
		}
		if slices.Contains(cfg.Services, "metrics") {
			pkg := "boot/names"
			if slices.Contains(cfg.Services, "dns+tls") {
				pkg = "boot/names/tls"
			}
			add("resolver", pkg)
			start.WriteString("\tmetrics.Register(resolver.WriteFigures)\n")
		}
	}
	if cfg.logs() {
		if err := d.put("syscall/tailor_console.go", []byte(consoleText)); err != nil {
			return nil, err
		}
		add("boot", "boot/logs")
		install := "nil"
		if cfg.Attributes {
			install = "attrs.Install"
			add("attrs", "logs/attrs")
		}
		start.WriteString("\tlog := boot.Start(" + install + ")\n\t_ = log\n")
		if slices.Contains(cfg.Services, "metrics") {
			start.WriteString("\tif log != nil {\n\t\tmetrics.Register(log.WriteFigures)\n\t}\n")
		}
	}
	text := "package linked\n\nimport (\n" + imports.String() + ")\n\nfunc init() {\n" + start.String() + "}\n"
	return roots, d.put(Linked+"/linked.go", []byte(text))
}
