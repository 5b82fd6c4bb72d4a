package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
)

// versionInfo is what version --json prints; see docs/cli.md.
type versionInfo struct {
	Tailor      string   `json:"tailor"`
	Revision    string   `json:"revision,omitempty"`
	Modified    bool     `json:"modified,omitempty"`
	Sources     string   `json:"sources"`
	BuiltWith   string   `json:"built_with"`
	ABI         uint32   `json:"abi"`
	ImageFormat uint32   `json:"image_format"`
	Go          []string `json:"go"`
	Targets     []string `json:"targets"`
}

func versionVerb() *verb {
	var asJSON bool
	return &verb{
		name:    "version",
		args:    "[--json]",
		summary: "show the version of tailor, and of Go that it works with",
		about: `Version prints what this tailor is: its version, a hash of its sources that go
into images (they have it in their note, too), the version of the interface
between guest and monitor (an image runs only with its own), the image format,
and the Go releases that images can be built with.`,
		flags: []cli.Flag{cli.BoolFlag(&asJSON, "json", 0, "print JSON")},
		examples: `  tailor version
  tailor version --json
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if err := noArguments("version", args); err != nil {
				return 0, err
			}
			return exitOK, printVersion(a.stdout, readVersion(), asJSON)
		},
	}
}

func noArguments(verb string, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return hint.Errorf("see: tailor help "+verb, "%s takes no arguments: %s", verb, strings.Join(args, " "))
}

func readVersion() versionInfo {
	v := versionInfo{
		Tailor:      "devel",
		BuiltWith:   runtime.Version(),
		ABI:         abi.Version,
		ImageFormat: image.FormatVersion,
		Go:          port.Supported,
		Targets:     build.Targets,
	}
	v.Sources, _ = port.SourceHash() // of what is embedded, which can be read
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Tailor = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// toolVersion is the version that images are marked with.
func toolVersion() string { return readVersion().Tailor }

func printVersion(w io.Writer, v versionInfo, asJSON bool) error {
	if asJSON {
		return printJSON(w, v)
	}
	_, err := fmt.Fprintf(w, "tailor %s\nsources of images %s\nguest interface %d, image format %d\nbuilds with Go %s.x\ntargets %s\nbuilt with %s\n",
		v.Tailor, v.Sources, v.ABI, v.ImageFormat, strings.Join(v.Go, ".x, "), strings.Join(v.Targets, ", "), v.BuiltWith)
	return err
}

func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
