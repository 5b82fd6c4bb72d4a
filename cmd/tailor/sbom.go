package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/sbom"
)

// The formats of a bill of materials.
const (
	cycloneDX = "cyclonedx"
	spdx      = "spdx"
	plainText = "text"
)

func parseSBOMFormat(s string) (string, error) {
	if !slices.Contains([]string{cycloneDX, spdx, plainText}, s) {
		return "", hint.Errorf("formats are: cyclonedx (1.6), spdx (2.3), text", "unknown format %q", s)
	}
	return s, nil
}

func sbomVerb() *verb {
	format := cycloneDX
	return &verb{
		name:    "sbom",
		args:    "[--format FORMAT] IMAGE",
		summary: "list what an image is made of: CycloneDX, SPDX or text",
		about: `Sbom writes the bill of materials of an image, or a plain program of Go, from
the file alone: modules with versions, hashes and licences, Go's release,
Tailor's, and what was changed of the Go tree. What the bytes do not tell is
taken from the image's note, and marked; where the two disagree, a warning says
so. The same file gives the same bytes; SOURCE_DATE_EPOCH is the date in it,
which is left out, or of the commit, if it is not set. docs/audit.md says what
is from where.`,
		flags: []cli.Flag{cli.ValueFlag(&format, "format", 0, "FORMAT", "cyclonedx (1.6, JSON) if not given,\nspdx (2.3, JSON), or text", parseSBOMFormat)},
		examples: `  tailor sbom web.img > web.cdx.json
  tailor sbom --format spdx web.img > web.spdx.json
  tailor sbom --format text web.img
`,
		run: func(_ context.Context, a *app, args []string) (int, error) {
			if len(args) != 1 {
				return 0, hint.Errorf("tailor sbom web.img", "sbom takes one image, got %d arguments", len(args))
			}
			return exitOK, a.sbom(args[0], format)
		},
	}
}

func (a *app) sbom(path, format string) error {
	date, err := sourceDateEpoch()
	if err != nil {
		return err
	}
	bill, err := readBill(path)
	if err != nil {
		return err
	}
	for _, w := range bill.Warnings {
		a.msg.Warnf("%s", w)
	}
	d := sbom.Document{Tool: toolVersion(), Time: date}
	switch format {
	case spdx:
		return bill.WriteSPDX(a.stdout, d)
	case plainText:
		return bill.WriteText(a.stdout, cli.Width(a.stdout))
	}
	return bill.WriteCycloneDX(a.stdout, d)
}

// readBill reads an image. A package is one that is not built yet.
func readBill(path string) (*sbom.Bill, error) {
	source, _ := filepath.Glob(filepath.Join(path, "*.go"))
	switch {
	case strings.HasSuffix(path, ".go") || isDir(path) && len(source) > 0:
		return nil, hint.Errorf("build it first: tailor build -o x.img "+path, "%s is a package, not an image", cli.Printable(path))
	case isDir(path):
		return nil, hint.Errorf("name the images in it: "+filepath.Join(path, "*.img"), "%s is a folder, not an image", cli.Printable(path))
	}
	bill, err := sbom.Read(path)
	if err != nil {
		return nil, hint.With(err, "name an image that tailor build made, or another program of Go")
	}
	return bill, nil
}
