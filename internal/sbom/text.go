package sbom

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
)

// WriteText writes the bill as a table for people, of width columns at most, or of any
// width if that is 0. The error is w's.
func (b *Bill) WriteText(w io.Writer, width int) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s, %s\n", printable(b.File), cmp.Or(b.Main, "package not known"), cmp.Or(b.Go, "Go release not known"))
	if b.Note != nil {
		fmt.Fprintf(&s, "made by tailor %s for target %s, by its note\n", b.Note.Tailor, b.Note.Target)
	}
	if p := b.Port; p != nil {
		s.WriteString(cli.Fill(portText(p)+", by its note", width, 2))
	}
	fmt.Fprintf(&s, "sha256 %s, %d bytes\n\n", b.SHA256, b.Bytes)
	rows := [][]string{{"MODULE", "VERSION", "PACKAGES", "LICENCE", "IS", "VERSION FROM", "HASH"}}
	for i := range b.Modules {
		m := &b.Modules[i]
		path := m.Path
		if m.Replaced != "" {
			path = m.Replaced + " => " + m.Path
		}
		rows = append(rows, []string{path, cmp.Or(m.Version, "?"), fmt.Sprintf("%8d", len(m.Packages)),
			cmp.Or(expression(m.Licences), "?"), string(m.Kind), from(m), cmp.Or(m.Sum, "-")})
	}
	t := cli.Table{Rows: rows, Below: 5}
	t.Write(&s, width)
	for _, u := range b.Unknown {
		s.WriteString("\n" + cli.Fill("Not known: "+u+".", width, 0))
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// from is where a version is from, as it is shown.
func from(m *Module) string {
	if m.Version == "" {
		return "-"
	}
	return string(m.Source)
}

// expression joins licences to an SPDX licence expression (SPDX 2.3, annex D): each
// was found in the module's folder, so each has to be kept to. "" for none.
func expression(licences []string) string { return strings.Join(licences, " AND ") }
