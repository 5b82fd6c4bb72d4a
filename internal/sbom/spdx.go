package sbom

import (
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The parts of SPDX 2.3 that are written here (ISO/IEC 5962, in JSON).
type (
	spdxDocument struct {
		Version       string             `json:"spdxVersion"`
		DataLicense   string             `json:"dataLicense"`
		ID            string             `json:"SPDXID"`
		Name          string             `json:"name"`
		Namespace     string             `json:"documentNamespace"`
		Creation      spdxCreation       `json:"creationInfo"`
		Packages      []spdxPackage      `json:"packages"`
		Relationships []spdxRelationship `json:"relationships"`
	}
	spdxCreation struct {
		Created  string   `json:"created"`
		Creators []string `json:"creators"`
	}
	spdxPackage struct {
		Name      string         `json:"name"`
		ID        string         `json:"SPDXID"`
		Version   string         `json:"versionInfo,omitempty"`
		Location  string         `json:"downloadLocation"`
		Analyzed  bool           `json:"filesAnalyzed"`
		Concluded string         `json:"licenseConcluded"`
		Declared  string         `json:"licenseDeclared"`
		Copyright string         `json:"copyrightText"`
		Purpose   string         `json:"primaryPackagePurpose"`
		Checksums []spdxChecksum `json:"checksums,omitempty"`
		Refs      []spdxRef      `json:"externalRefs,omitempty"`
		Source    string         `json:"sourceInfo,omitempty"`
		Comment   string         `json:"comment,omitempty"`
	}
	spdxChecksum struct {
		Algorithm string `json:"algorithm"`
		Value     string `json:"checksumValue"`
	}
	spdxRef struct {
		Category string `json:"referenceCategory"`
		Type     string `json:"referenceType"`
		Locator  string `json:"referenceLocator"`
	}
	spdxRelationship struct {
		From string `json:"spdxElementId"`
		Type string `json:"relationshipType"`
		To   string `json:"relatedSpdxElement"`
	}
)

const noAssertion = "NOASSERTION"

// WriteSPDX writes the bill as SPDX 2.3 JSON: the same bytes for the same file and
// document. A document must have a date there: without one it is that of the commit
// that the linker recorded, else 1970. The error is w's.
func (b *Bill) WriteSPDX(w io.Writer, d Document) error {
	const document, root = "SPDXRef-DOCUMENT", "SPDXRef-Image"
	doc := spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: document, Name: b.name(),
		Namespace: "https://github.com/tailor-os/tailor/sbom/" + url.PathEscape(b.name()) + "-" + b.uuid("spdx", d),
		Creation:  spdxCreation{Created: b.created(d), Creators: []string{"Tool: tailor-" + d.Tool}},
		Packages:  []spdxPackage{b.spdxRoot(root)},
		Relationships: []spdxRelationship{
			{document, "DESCRIBES", root},
		},
	}
	for i := range b.Modules {
		p := b.spdxModule(&b.Modules[i], fmt.Sprintf("SPDXRef-Module-%d-%s", i, idText(b.Modules[i].Path)))
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, spdxRelationship{root, "CONTAINS", p.ID})
	}
	return writeJSON(w, doc)
}

// idText is a text as it may be part of an SPDX identifier.
func idText(s string) string {
	return regexp.MustCompile(`[^a-zA-Z0-9.-]+`).ReplaceAllString(s, "-")
}

// created is the date of a document.
func (b *Bill) created(d Document) string {
	t := d.Time
	if t.IsZero() {
		t, _ = time.Parse(time.RFC3339, b.Setting("vcs.time"))
	}
	if t.IsZero() || t.Year() > 9999 {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func (b *Bill) spdxRoot(id string) spdxPackage {
	p := spdxPackage{
		Name: b.name(), ID: id, Location: noAssertion, Concluded: noAssertion, Declared: noAssertion, Copyright: noAssertion,
		Purpose: "APPLICATION", Checksums: []spdxChecksum{{"SHA256", b.SHA256}},
	}
	var lines []string
	if b.Note != nil {
		lines = append(lines, fmt.Sprintf("made by tailor %s for target %s, by its note", b.Note.Tailor, b.Note.Target))
	}
	for _, text := range b.Warnings {
		lines = append(lines, "warning: "+text)
	}
	for _, text := range b.Unknown {
		lines = append(lines, "not known: "+text)
	}
	p.Comment = strings.Join(lines, "\n")
	return p
}

func (b *Bill) spdxModule(m *Module, id string) spdxPackage {
	p := spdxPackage{
		Name: m.Path, ID: id, Version: m.Version, Location: noAssertion, Concluded: noAssertion, Declared: noAssertion,
		Copyright: noAssertion, Purpose: "LIBRARY", Comment: fmt.Sprintf("%s; packages of it that are linked: %d", m.Kind, len(m.Packages)),
	}
	if len(m.Licences) > 0 {
		p.Declared = expression(m.Licences)
	}
	if u := purl(m); u != "" {
		p.Refs = append(p.Refs, spdxRef{"PACKAGE-MANAGER", "purl", u})
	}
	if c := cpe(m); c != "" {
		p.Refs = append(p.Refs, spdxRef{"SECURITY", "cpe23Type", c})
	}
	if m.Sum != "" {
		p.Refs = append(p.Refs, spdxRef{"OTHER", "go-h1", m.Sum})
	}
	if m.Replaced != "" {
		p.Comment += "; stands in for " + m.Replaced
	}
	if m.Version != "" {
		p.Source = "version from: " + string(m.Source)
	}
	if m.InFiles != "" {
		p.Source += "; its files are of " + m.InFiles
	}
	if m.Kind == Standard && b.Port != nil {
		p.Source += "; changed by " + portText(b.Port)
	}
	return p
}
