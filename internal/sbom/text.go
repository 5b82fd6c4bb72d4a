package sbom

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteText writes the bill as a table for people. The error is w's.
func (b *Bill) WriteText(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s, %s\n", printable(b.File), cmp.Or(b.Main, "package not known"), cmp.Or(b.Go, "Go release not known"))
	if b.Note != nil {
		fmt.Fprintf(&s, "made by tailor %s for target %s, by its note\n", b.Note.Tailor, b.Note.Target)
	}
	if p := b.Port; p != nil {
		fmt.Fprintf(&s, "%s, by its note\n", portText(p))
	}
	fmt.Fprintf(&s, "sha256 %s, %d bytes\n\n", b.SHA256, b.Bytes)
	t := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MODULE\tVERSION\tPACKAGES\tLICENCE\tIS\tVERSION FROM\tHASH")
	for i := range b.Modules {
		m := &b.Modules[i]
		path := m.Path
		if m.Replaced != "" {
			path = m.Replaced + " => " + m.Path
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", path, cmp.Or(m.Version, "?"), len(m.Packages), cmp.Or(expression(m.Licences), "?"), m.Kind, from(m), cmp.Or(m.Sum, "-"))
	}
	t.Flush()
	for _, u := range b.Unknown {
		fmt.Fprintf(&s, "\nNot known: %s.", u)
	}
	if len(b.Unknown) > 0 {
		s.WriteString("\n")
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
