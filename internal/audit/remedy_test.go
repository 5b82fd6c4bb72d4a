package audit

import (
	"runtime/debug"
	"slices"
	"testing"

	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/sbom"
)

// What is to be done depends on who brought the module, and on how the program was
// built.
func TestRemedy(t *testing.T) {
	const app, dep = "example.com/app", "example.com/dep"
	main := sbom.Module{Path: app, Kind: sbom.Main}
	fetched := sbom.Module{Path: app, Kind: sbom.Main, Version: "v1.0.0", Sum: "h1:x="}
	note := &image.Note{Target: "hvt"}
	recorded := func(b image.Build) *image.Note { return &image.Note{Target: "hvt", Build: &b} }
	settings := []debug.BuildSetting{{Key: "GOEXPERIMENT", Value: "simd"}, {Key: "GOOS", Value: "linux"}}
	find := func(kind sbom.Kind, module, fixed string) Finding {
		return Finding{kind: kind, Module: module, Fixed: fixed}
	}
	for name, c := range map[string]struct {
		bill     sbom.Bill
		findings []Finding
		want     []string
	}{
		"nothing": {sbom.Bill{Note: note}, nil, nil},
		"the latest of what fixes it": {sbom.Bill{Note: note, Modules: []sbom.Module{main}},
			[]Finding{find(sbom.Dependency, dep, "v1.9.0"), find(sbom.Dependency, dep, "v1.10.0"), find(sbom.Dependency, dep, "v1.2.0")},
			[]string{"go get example.com/dep@v1.10.0", "tailor build -o 'it'\\''s.img' example.com/app/cmd"}},
		"Go and a module": {sbom.Bill{Note: note, Modules: []sbom.Module{main}},
			[]Finding{find(sbom.Standard, "stdlib", "go1.26.9"), find(sbom.Standard, "stdlib", "go1.26.10"), find(sbom.Standard, "toolchain", "go1.25.1"), find(sbom.Dependency, dep, "v1.0.0")},
			[]string{"go get example.com/dep@v1.0.0", "GOTOOLCHAIN=go1.26.10 tailor build -o 'it'\\''s.img' example.com/app/cmd"}},
		"a plain program": {sbom.Bill{Modules: []sbom.Module{main}}, []Finding{find(sbom.Dependency, dep, "v1.0.0")},
			[]string{"go get example.com/dep@v1.0.0", "go build -o 'it'\\''s.img' example.com/app/cmd"}},
		"with its flags": {sbom.Bill{Note: &image.Note{Target: "virtio", Build: &image.Build{Flags: []string{"-t", "virtio", "--ldflags", "-X a=b c", "-o", "x.img"}}}, Modules: []sbom.Module{main}},
			[]Finding{find(sbom.Standard, "stdlib", "go1.26.9")},
			[]string{"GOTOOLCHAIN=go1.26.9 tailor build -t virtio --ldflags '-X a=b c' -o 'it'\\''s.img' example.com/app/cmd"}},
		"not fixed": {sbom.Bill{Note: note, Modules: []sbom.Module{main}}, []Finding{find(sbom.Dependency, dep, "")},
			[]string{"# no version of example.com/dep fixes all of it: leave out what uses it"}},
		"fetched": {sbom.Bill{Note: note, Main: app, Modules: []sbom.Module{fetched}}, []Finding{find(sbom.Dependency, dep, "v1.0.0")},
			[]string{"# example.com/app was fetched as it is: a release of it must require example.com/dep v1.0.0", "tailor build -o 'it'\\''s.img' example.com/app/cmd@latest"}},
		"fetched itself": {sbom.Bill{Note: note, Modules: []sbom.Module{fetched}}, []Finding{find(sbom.Main, app, "v1.1.0")},
			[]string{"tailor build -o 'it'\\''s.img' example.com/app/cmd@v1.1.0"}},
		"a plain program that was fetched": {sbom.Bill{Modules: []sbom.Module{fetched}}, []Finding{find(sbom.Main, app, "v1.1.0")},
			[]string{"go install example.com/app/cmd@v1.1.0"}},
		"itself": {sbom.Bill{Note: note, Modules: []sbom.Module{main}}, []Finding{find(sbom.Main, app, "v1.1.0")},
			[]string{"# get example.com/app v1.1.0", "tailor build -o 'it'\\''s.img' example.com/app/cmd"}},
		"replaced": {sbom.Bill{Note: note, Modules: []sbom.Module{main, {Path: "../fork", Replaced: dep, Kind: sbom.Dependency}}}, []Finding{find(sbom.Dependency, dep, "v1.1.0")},
			[]string{"# example.com/dep is replaced by ../fork in go.mod: replace it by what has the fix of example.com/dep v1.1.0", "tailor build -o 'it'\\''s.img' example.com/app/cmd"}},
		"the flags of its build": {sbom.Bill{Note: recorded(image.Build{Flags: []string{"--metrics", "--params", "a b"}, Env: []string{"GOFLAGS=-pgo=x -gcflags=-B"}}), Settings: settings, Modules: []sbom.Module{main}},
			[]Finding{find(sbom.Standard, "stdlib", "go1.26.9")},
			[]string{"GOTOOLCHAIN=go1.26.9 GOEXPERIMENT=simd GOFLAGS='-pgo=x -gcflags=-B' tailor build --metrics --params 'a b' -o 'it'\\''s.img' example.com/app/cmd"}},
		"files": {sbom.Bill{Note: recorded(image.Build{Args: []string{"a.go", "b.go"}}), Modules: []sbom.Module{main}}, []Finding{find(sbom.Standard, "stdlib", "go1.26.9")},
			[]string{"GOTOOLCHAIN=go1.26.9 tailor build -o 'it'\\''s.img' a.go b.go"}},
		"flags of what was fetched": {sbom.Bill{Note: recorded(image.Build{Flags: []string{"-t", "virtio", "-o", "x.raw"}, Args: []string{app + "@v1.0.0"}}), Modules: []sbom.Module{fetched}},
			[]Finding{find(sbom.Main, app, "v1.1.0")}, []string{"tailor build -t virtio -o 'it'\\''s.img' example.com/app/cmd@v1.1.0"}},
		"a name that is a command": {sbom.Bill{Modules: []sbom.Module{main}}, []Finding{find(sbom.Dependency, "a.b/$(x)", "v1.0.0")},
			[]string{"go get 'a.b/$(x)@v1.0.0'", "go build -o 'it'\\''s.img' example.com/app/cmd"}},
		"Tailor": {sbom.Bill{Note: note, Modules: []sbom.Module{main}}, []Finding{find(sbom.Tailor, "example.com/t", "v1.1.0")},
			[]string{"go install example.com/t/cmd/tailor@v1.1.0", "tailor build -o 'it'\\''s.img' example.com/app/cmd"}},
	} {
		c.bill.File = "it's.img"
		img := Image{File: c.bill.File, Package: "example.com/app/cmd", bill: &c.bill}
		if got := img.remedy(c.findings); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// An image whose note is gone, or says another target, is built again as what its bytes
// say that it is.
func TestRebuildWithoutNote(t *testing.T) {
	for target, want := range map[string]string{
		"hvt":    "tailor build -o x.img example.com/old",
		"virtio": "tailor build -t virtio -o x.img example.com/old",
		"unix":   "go build -o x.img example.com/old",
	} {
		b := read(t, built(t, target))
		b.Note = nil
		img := Image{File: "x.img", Package: "example.com/old", bill: b}
		if got := img.rebuild("", "latest"); got != want {
			t.Errorf("%s without a note: %q, want %q", target, got, want)
		}
	}
}
