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
}

// Linked is the import path of the package that brings what Config.Services asks
// for. Package main of the program is to import it.
const Linked = Prefix + "linked"

// logs reports whether the program's log can be sent.
func (cfg *Config) logs() bool {
	return slices.ContainsFunc(cfg.Services, func(name string) bool { return strings.HasPrefix(name, "syslog+") })
}

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

import "sync"

// tailorConsole writes to descriptors 1 and 2.
var tailorConsole = tailorEarly

// tailorKept is what has been written so far, by descriptor.
var tailorKept struct {
	sync.Mutex
	out [2][]byte
}

const tailorMaxKept = 64 << 10 // bytes

func tailorEarly(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error) {
	n, err := write(fd, p)
	tailorKept.Lock()
	defer tailorKept.Unlock()
	if kept := &tailorKept.out[fd-1]; n > 0 && len(*kept)+n <= tailorMaxKept {
		*kept = append(*kept, p[:n]...)
	}
	return n, err
}

// TailorTakeConsole makes f what writes to descriptors 1 and 2, nil for nothing
// special, and returns what has been written to each before.
func TailorTakeConsole(f func(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error)) [2][]byte {
	if f == nil {
		f = func(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error) { return write(fd, p) }
	}
	tailorKept.Lock()
	defer tailorKept.Unlock()
	tailorConsole = f
	out := tailorKept.out
	tailorKept.out = [2][]byte{}
	return out
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
			add("metrics", "metrics")
			start.WriteString("\tif log != nil {\n\t\tmetrics.Register(log.WriteFigures)\n\t}\n")
		}
	}
	text := "package linked\n\nimport (\n" + imports.String() + ")\n\nfunc init() {\n" + start.String() + "}\n"
	return roots, d.put(Linked+"/linked.go", []byte(text))
}
