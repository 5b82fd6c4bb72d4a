package audit

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/sbom"
	"github.com/tailor-os/tailor/internal/vulndb"
)

// later reports whether version a comes after b. Both are of one module.
func later(a, b string) bool {
	return semver.Compare(comparable(a), comparable(b)) > 0
}

func comparable(version string) string {
	if v, ok := vulndb.GoVersion(version); ok {
		return v
	}
	return version
}

// remedy says what to do about findings: commands, and as comments of a shell what is
// no command.
func (img *Image) remedy(findings []Finding) (commands []string) {
	if len(findings) == 0 {
		return nil
	}
	bump, unfixed := map[string]*Finding{}, map[string]bool{}
	for i := range findings {
		f := &findings[i]
		key := string(f.kind) + f.Module
		if f.Fixed == "" {
			unfixed[f.Module] = true
		} else if old := bump[key]; old == nil || later(f.Fixed, old.Fixed) {
			bump[key] = f
		}
	}
	toolchain, at := "", "latest"
	for _, key := range slices.Sorted(maps.Keys(bump)) {
		command, release := img.bumpOf(bump[key])
		if f := bump[key]; f.kind == sbom.Main {
			at = f.Fixed
		}
		if command != "" {
			commands = append(commands, command)
		}
		if release != "" && (toolchain == "" || later(release, toolchain)) {
			toolchain = release
		}
	}
	for _, module := range slices.Sorted(maps.Keys(unfixed)) {
		commands = append(commands, "# no version of "+module+" fixes all of it: leave out what uses it")
	}
	if len(bump) > 0 {
		commands = append(commands, img.rebuild(toolchain, at))
	}
	return commands
}

// bumpOf says how to get the version that fixes f: a command, or the release of Go to
// build with.
func (img *Image) bumpOf(f *Finding) (command, release string) {
	m := img.moduleOf(f)
	switch {
	case f.kind == sbom.Standard:
		return "", f.Fixed
	case f.kind == sbom.Laid:
		return "# " + f.Module + " " + f.Fixed + " comes with a newer tailor: go install github.com/tailor-os/tailor/cmd/tailor@latest", ""
	case f.kind == sbom.Tailor:
		return "go install " + f.Module + "/cmd/tailor@" + f.Fixed, ""
	case f.kind == sbom.Main && img.fetched():
		return "", "" // the command that builds it says which
	case f.kind == sbom.Main:
		return "# get " + f.Module + " " + f.Fixed, ""
	case m != nil && m.Replaced != "":
		return "# " + m.Replaced + " is replaced by " + m.Path + " in go.mod: replace it by what has the fix of " + f.Module + " " + f.Fixed, ""
	case img.fetched():
		return "# " + img.bill.Main + " was fetched as it is: a release of it must require " + f.Module + " " + f.Fixed, ""
	}
	return "go get " + quote(f.Module+"@"+f.Fixed), ""
}

// moduleOf is the module that f is of.
func (img *Image) moduleOf(f *Finding) *sbom.Module {
	for i := range img.bill.Modules {
		m := &img.bill.Modules[i]
		if m.Kind == f.kind && (m.Path == f.Module || m.Replaced == f.Module) {
			return m
		}
	}
	return nil
}

// fetched reports whether the program was built as path@version.
func (img *Image) fetched() bool {
	i := slices.IndexFunc(img.bill.Modules, func(m sbom.Module) bool { return m.Kind == sbom.Main })
	return i >= 0 && img.bill.Modules[i].Sum != ""
}

// rebuild is the command that builds the program again, with a release of Go if one
// is to be used; a program that was fetched at a version, at another one.
func (img *Image) rebuild(release, at string) string {
	words, args := []string{"go", "build"}, []string{"-o", img.File, cmp.Or(img.Package, "PACKAGE")}
	if img.fetched() {
		args[2] += "@" + at
	}
	target := img.bill.Target()
	switch n := img.bill.Note; {
	case n != nil && n.Build != nil:
		if len(n.Build.Args) > 0 && !img.fetched() { // files
			args = append(args[:2], n.Build.Args...)
		}
		again := *n.Build
		if i := slices.Index(again.Flags, "-o"); i >= 0 { // the name alone, where that is in the image
			again.Flags = slices.Delete(slices.Clone(again.Flags), i, min(i+2, len(again.Flags)))
		}
		return build.AgainWith(&again, img.bill.Settings, release, args...)
	case target == "virtio":
		words = []string{"tailor", "build", "-t", target}
	case n != nil || target != "unix":
		words = []string{"tailor", "build"}
	case img.fetched(): // by go install, which has no -o
		words, args = []string{"go", "install"}, args[2:]
	}
	for _, w := range args {
		words = append(words, quote(w))
	}
	command := strings.Join(words, " ")
	if release != "" {
		command = "GOTOOLCHAIN=" + release + " " + command
	}
	return command
}

// quote is a word as a shell takes it.
func quote(s string) string {
	s = cli.Printable(s)
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
