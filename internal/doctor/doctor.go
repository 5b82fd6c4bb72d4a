// Package doctor finds out what this machine can run, and what to do about
// what it cannot.
package doctor

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
)

// A State is the outcome of a check.
type State string

// The states, best first.
const (
	OK      State = "ok"      // nothing to do
	Limited State = "limited" // works, with less speed or function
	Missing State = "missing" // does not work
)

// A Check is one thing that was looked at. Its JSON form is documented in
// docs/cli.md.
type Check struct {
	Name   string `json:"name"`
	State  State  `json:"state"`
	Detail string `json:"detail"`           // what was found
	Remedy string `json:"remedy,omitempty"` // what to do unless State is OK
}

// A Report is what was found.
type Report struct {
	Targets []Target `json:"targets"`
	Checks  []Check  `json:"checks"`
}

// Targets looks at the targets alone.
func Targets(ctx context.Context, cfg Config) []Target {
	return targets(cfg, checkGo(ctx, cfg), checkKVM(cfg), checkQEMU(ctx, cfg))
}

// A Config says what to look for.
type Config struct {
	Supported []string // Go releases that images can be built with
	// CheckVM reports whether guests can be run, nil if nobody can tell yet.
	CheckVM func() error
	// CheckSPT reports whether processes can be confined.
	CheckSPT func() error
	CacheDir string
	Dir      string // where go env is asked

	root string // of the file system looked at; tests set it
	gid  int    // whom net.ipv4.ping_group_range is asked about
}

// Run makes all checks. It takes well under a second and changes nothing, but
// for a file in the cache folder that it removes again.
func Run(ctx context.Context, cfg Config) *Report {
	if cfg.root == "" {
		cfg.gid = os.Getgid()
	}
	goCheck := checkGo(ctx, cfg)
	kvm := checkKVM(cfg)
	qemu := checkQEMU(ctx, cfg)
	r := &Report{Checks: []Check{
		goCheck,
		kvm,
		qemu,
		checkNamespaces(cfg),
		checkCPU(cfg),
		checkMemory(cfg),
		checkHugePages(cfg),
		checkTun(cfg),
		checkPing(cfg),
		checkCache(cfg),
	}}
	r.Targets = targets(cfg, goCheck, kvm, qemu)
	return r
}

// OK reports whether at least one target works.
func (r *Report) OK() bool {
	for _, t := range r.Targets {
		if t.State != Missing {
			return true
		}
	}
	return false
}

// Write prints r for people, in lines of width columns, or of any length if that is 0;
// what is to be done is never broken.
func (r *Report) Write(w io.Writer, width int) error {
	targets := [][3]string{{"TARGET", "STATE", "DETAIL"}}
	for _, t := range r.Targets {
		targets = append(targets, [3]string{t.Name, string(t.State), t.Detail})
	}
	checks := [][3]string{{"CHECK", "STATE", "DETAIL"}}
	for _, c := range r.Checks {
		checks = append(checks, [3]string{c.Name, string(c.State), c.Detail})
	}
	_, err := io.WriteString(w, table(targets, width)+"\n"+table(checks, width)+r.todo())
	return err
}

func table(rows [][3]string, width int) string {
	var b strings.Builder
	for _, r := range rows {
		b.WriteString(cli.Hang(fmt.Sprintf("%-16s  %-7s  ", r[0], r[1]), r[2], width))
	}
	return b.String()
}

// todo lists the remedies.
func (r *Report) todo() string {
	var b strings.Builder
	for _, c := range r.Checks {
		if c.Remedy == "" {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("\nWhat to do:\n")
		}
		fmt.Fprintf(&b, "  %s: %s\n", c.Name, c.Remedy)
	}
	if b.Len() == 0 {
		return "\nNothing to do.\n"
	}
	return b.String()
}
