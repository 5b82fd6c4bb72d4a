package port

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Doc returns docs/port.md, written from the tables that the port is made of.
func Doc() string {
	var b strings.Builder
	b.WriteString(docHead)
	fmt.Fprintf(&b, "Supported: Go %s.\n\n## Edits\n", strings.Join(Supported, ", "))
	writeEdits(&b, Edits)
	b.WriteString("\n## Data\n\nZone data and root certificates are linked where the program can reach what asks for them. " +
		"The package `Tailor/zones` is the toolchain's own `time/tzdata`, which itself only refers to it then; " +
		"the certificates of `" + rootsModule + "` become part of `crypto/x509`.\n")
	writeEdits(&b, DataEdits)
	b.WriteString("\n## Services beside the program\n\nWhat `--metrics`, `--ntp`, `--resolver` and `--log` ask for uses package net, and so cannot be brought in from beneath it. " +
		"The package `Tailor/linked`, which the program's package main imports by a file of the overlay, brings it, on target unix too, where nothing else is changed. " +
		"What sends the log (`--log`) needs one edit:\n")
	writeEdits(&b, LogEdits)
	b.WriteString("\nWhat answers the program's resolvers (`--resolver`) needs one:\n")
	writeEdits(&b, NameEdits)
	b.WriteString("\n## Files that take the place of the runtime's\n\n| runtime | ours |\n| --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(machineFiles)) {
		fmt.Fprintf(&b, "| `%s` | `machine/%s` |\n", machineFiles[name], name)
	}
	b.WriteString("\nThe other files of `machine/` are added to package runtime as `tailor_NAME`.\n")
	b.WriteString("\n" + kindsText)
	b.WriteString("\n## Edits of the modules that go into images\n\nTheir versions are pinned in go.mod, and they are laid as portable Go: build constraints are decided for a system and processor they do not know.\n")
	writeEdits(&b, ModuleEdits)
	b.WriteString("\n## Packages that images have another one for\n\n")
	for _, pkg := range slices.Sorted(maps.Keys(substitutes)) {
		fmt.Fprintf(&b, "- `%s`: `%s`\n", pkg, substitutes[pkg])
	}
	b.WriteString("\n## Packages of ours that become part of the standard library's\n\nIn images that open encrypted volumes (`--luks`). " +
		"Their files are `tailor_NAME` there: only what lies below `crypto` may import what is internal to it, and the assembler runs in the folder of a package.\n\n")
	for _, pkg := range slices.Sorted(maps.Keys(homes)) {
		fmt.Fprintf(&b, "- `%s`: `%s`\n", pkg, homes[pkg])
	}
	return b.String()
}

const docHead = `# The runtime port

An image is built by the user's own Go toolchain from the user's own program.
What is different is given to ` + "`go build -overlay`" + `: copies of a few files of
GOROOT with the edits below, the files of ` + "`machine/`" + ` as part of package
runtime, and the other guest packages below ` + "`Tailor/`" + ` in the standard library's
tree. GOROOT itself is never written to, and no file of it is kept in this
repository.

Each edit must match exactly as often as it says (once, if it says nothing).
If one does not, the toolchain is refused with its version and the file.

This page is written from internal/port/edits.go by ` + "`go test ./internal/port -update`" + `.

`

func writeEdits(b *strings.Builder, edits []Edit) {
	last := ""
	for _, e := range edits {
		if e.File != last {
			fmt.Fprintf(b, "\n### `%s`\n", e.File)
			last = e.File
		}
		fmt.Fprintf(b, "\n%s%s%s\n\n```diff\n", e.Why, times(e.Count), only(e.Release))
		diff(b, "-", e.Old)
		diff(b, "+", e.New)
		b.WriteString("```\n")
	}
}

func times(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

func only(release string) string {
	if release == "" {
		return ""
	}
	return " (Go " + release + " only)"
}

func diff(b *strings.Builder, sign, text string) {
	for line := range strings.Lines(text) {
		b.WriteString(sign + strings.TrimRight(line, "\n") + "\n")
	}
}

// kindsText says what of the port depends on the program.
const kindsText = `## What depends on the program

- With package net among the program's packages, it imports the network.
- A program that makes system calls by number, or with golang.org/x/sys/unix, has
  all groups of calls (libos/complete.go); others have those that a function of
  package syscall brings (libos/groups.go, and the edits above).
- A program with runtime/trace or runtime/metrics has what they record in the
  runtime (machine/diagnostics.go).
- An image built with --trace syscalls has the tracer (libos/tracing.go).
`
