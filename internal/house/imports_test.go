package house

import (
	"maps"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A rule bounds what some packages import. Patterns are folders from the root,
// "virtio/..." for a folder and all below, or import paths from outside.
type rule struct {
	packages []string
	// only lists what of this repository may be imported, deny what may not
	// be imported at all. One of them is set.
	only, deny []string
	why        string
}

var guest = []string{"abi", "block/...", "boot/...", "entropy/...", "libos/...", "logs/...", "machine/...", "metrics", "names/...", "netstack/...", "ntp", "params", "virtio/...", "volume/..."}

var rules = []rule{
	{packages: guest, only: guest,
		why: "it is laid over the Go tree of the user's program, where nothing of the tool exists"},
	{packages: []string{"virtio/..."}, only: []string{"abi", "block", "virtio/..."},
		why: "drivers work on any memory and any doorbell, so that they can be tested and fuzzed on the host"},
	{packages: []string{"block/..."}, only: []string{"block/..."},
		why: "devices and what is made of them run on the host too, in the tool and in tests"},
	{packages: []string{"logs/..."}, only: []string{"logs/...", "metrics", "params"},
		why: "what sends a log knows net and os, and no machine: it is linked into plain processes too"},
	{packages: []string{"names/..."}, only: []string{"metrics", "names/..."},
		why: "what asks for names knows net, and no machine: it is linked into plain processes too"},
	{packages: []string{"volume/..."}, only: []string{"block/...", "volume/..."},
		why: "the tool reads and writes volumes with the same code as the guest"},
	{packages: []string{"netstack/..."}, only: []string{"abi", "libos/...", "metrics", "params", "virtio/...", "netstack/..."},
		why: "the network knows devices and files, not the machine: it runs on the host in tests"},
	{packages: []string{"libos"}, only: []string{"abi", "entropy", "libos/...", "params"},
		why: "it answers system calls on whatever machine, in a test on the host too"},
	{packages: []string{"internal/monitor/..."},
		only: []string{"abi", "virtio", "internal/devices", "internal/guest", "internal/hint", "internal/hostfs", "internal/image", "internal/monitor/...", "internal/ring0", "internal/virtq/...", "internal/xtest"},
		why:  "the monitor faces a hostile guest: it moves packets and links no service that understands them; files alone it serves, beneath chosen folders"},
	{packages: []string{"internal/guest", "internal/spt"},
		only: []string{"abi", "internal/devices", "internal/guest", "internal/hint", "internal/hostfs", "internal/image", "internal/virtq", "libos"},
		why:  "as the monitor; libos only names system calls in messages"},
	{packages: []string{"internal/guest"}, deny: []string{module + "/libos", module + "/internal/monitor", module + "/internal/spt"},
		why: "it is what starters have in common, and knows none of them"},
	{packages: []string{"internal/image"}, only: []string{"abi", "internal/hint"},
		why: "images are checked by functions on bytes, wherever they are started"},
	{packages: []string{"internal/disk/..."}, only: []string{"abi", "internal/disk/...", "internal/hint", "internal/xtest"},
		why: "a disk is bytes made of an image's bytes, and of nothing else of the machine it is made on"},
	{packages: []string{"internal/virtq/..."}, only: []string{"abi", "virtio", "internal/hint", "internal/virtq/..."},
		why: "the device side of a ring reads what a hostile guest wrote, and is fuzzed alone"},
	{packages: []string{"examples/..."}, only: []string{},
		why: "they show that a program needs nothing of Tailor"},
	{packages: []string{"params"}, deny: []string{"..."},
		why: "a part of it is laid into package runtime, the rest is linked into every image"},
	{packages: []string{"metrics", "ntp"}, only: []string{},
		why: "figures come from beneath package net, and NTP is tested without a clock or a socket"},
	{packages: []string{"abi"}, deny: []string{"..."},
		why: "both sides compile it, one of them beneath Go's runtime"},
	{packages: []string{"internal/...", "cmd/...", "examples/..."}, deny: []string{"C", "plugin"},
		why: "the tool is one static binary; cgo is for nobody"},
}

// graph maps each package of the repository, as a folder, to what its files
// import for any system and tag, tests and packages for tests (NAMEtest) apart.
func graph(t *testing.T) map[string][]string {
	t.Helper()
	g := map[string][]string{}
	for _, s := range sources(t) {
		if s.isTest() || strings.Contains(s.name, "testdata/") || strings.HasSuffix(s.dir(), "test") || ignored(s) {
			continue
		}
		imports := g[s.dir()]
		for _, spec := range s.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Contains(imports, p) {
				imports = append(imports, p)
			}
		}
		g[s.dir()] = imports
	}
	return g
}

// ignored reports whether s is a program beside a package, such as a generator.
func ignored(s source) bool {
	return strings.Contains(string(s.text[:min(len(s.text), 500)]), "//go:build ignore\n")
}

// matches reports whether the pattern means name.
func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if p, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == p || strings.HasPrefix(name, p+"/")
	}
	return name == pattern
}

func anyMatches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// local returns the folder of an import path of this repository.
func local(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// broken returns the import that breaks r, "" if none does.
func (r rule) broken(imports []string) string {
	for _, imported := range imports {
		dir, ours := local(imported)
		switch {
		case r.deny != nil && anyMatches(r.deny, imported):
			return imported
		case r.deny == nil && ours && !anyMatches(r.only, dir):
			return imported
		}
	}
	return ""
}

func TestImports(t *testing.T) {
	g := graph(t)
	for _, dir := range slices.Sorted(maps.Keys(g)) {
		for _, r := range rules {
			if !anyMatches(r.packages, dir) {
				continue
			}
			if bad := r.broken(g[dir]); bad != "" {
				t.Errorf("%s imports %s: %s", dir, bad, r.why)
			}
		}
	}
}

// TestRulesBite makes sure that the rules can fail.
func TestRulesBite(t *testing.T) {
	for dir, imported := range map[string]string{
		"abi":                "strconv",
		"libos":              module + "/machine",
		"virtio/queue":       module + "/internal/hint",
		"virtio/netdev":      module + "/machine",
		"netstack":           module + "/internal/usernet",
		"machine":            module,
		"examples/hello":     module + "/abi",
		"internal/monitor":   module + "/netstack",
		"internal/image":     module + "/internal/build",
		"internal/monitor/x": "C",
	} {
		if !slices.ContainsFunc(rules, func(r rule) bool {
			return anyMatches(r.packages, dir) && r.broken([]string{imported}) != ""
		}) {
			t.Errorf("no rule keeps %s from importing %s", dir, imported)
		}
	}
}

// TestLibosLiesBeneathSyscall: package syscall calls libos, so nothing that
// libos imports, however far down, may import syscall.
func TestLibosLiesBeneathSyscall(t *testing.T) {
	g := graph(t)
	outside, seen := []string{}, map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		if seen[dir] {
			return
		}
		seen[dir] = true
		for _, imported := range g[dir] {
			if sub, ours := local(imported); ours {
				visit(sub)
			} else {
				outside = append(outside, imported)
			}
		}
	}
	for _, dir := range []string{"libos", "libos/tarmount", "libos/extfs", "block", "block/part", "block/crypt", "volume/tarfs", "volume/ext4"} {
		visit(dir)
	}
	if len(g["libos"]) == 0 {
		t.Fatal("libos imports nothing: looking in the wrong place")
	}
	for _, dep := range deps(t, outside) {
		if anyMatches([]string{"syscall", "os", "time", "fmt", "io/fs", "net"}, dep) || strings.Contains(strings.Split(dep, "/")[0], ".") {
			t.Errorf("libos depends on %s, which is above package syscall or not of the standard library", dep)
		}
	}
}

// deps returns the packages and all that they import.
func deps(t *testing.T, packages []string) []string {
	t.Helper()
	return goList(t, append([]string{"-deps"}, packages...)...)
}

// goList runs go list at the repository's root and returns its lines.
func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, stderr.String())
	}
	return strings.Fields(string(out))
}

// Every guest package must be embedded, or it is missing from a tool that was
// installed without its source.
func TestGuestIsEmbedded(t *testing.T) {
	var embedded string
	for _, f := range matching(t, "embed.go") {
		if f.dir() == "." {
			embedded = string(f.text)
		}
	}
	for _, p := range guest {
		if dir := path.Clean(strings.TrimSuffix(p, "/...")); !strings.Contains(embedded, " "+dir) {
			t.Errorf("embed.go does not carry %s", dir)
		}
	}
}
