package sbom

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/image"
)

// A Document says who makes a document, and when.
type Document struct {
	Tool string    // version of the tailor that writes it
	Time time.Time // zero for none: documents of one image are the same bytes then
}

// The parts of CycloneDX 1.6 that are written here (ECMA-424, in JSON).
type (
	cdxBOM struct {
		Schema       string          `json:"$schema"`
		Format       string          `json:"bomFormat"`
		Spec         string          `json:"specVersion"`
		Serial       string          `json:"serialNumber"`
		Version      int             `json:"version"`
		Metadata     cdxMetadata     `json:"metadata"`
		Components   []cdxComponent  `json:"components"`
		Dependencies []cdxDependency `json:"dependencies"`
	}
	cdxMetadata struct {
		Timestamp string `json:"timestamp,omitempty"`
		Tools     struct {
			Components []cdxComponent `json:"components"`
		} `json:"tools"`
		Component cdxComponent `json:"component"`
	}
	cdxComponent struct {
		Type       string        `json:"type"`
		Ref        string        `json:"bom-ref,omitempty"`
		Name       string        `json:"name"`
		Version    string        `json:"version,omitempty"`
		Hashes     []cdxHash     `json:"hashes,omitempty"`
		Licences   []cdxLicence  `json:"licenses,omitempty"`
		CPE        string        `json:"cpe,omitempty"`
		PURL       string        `json:"purl,omitempty"`
		Pedigree   *cdxPedigree  `json:"pedigree,omitempty"`
		Properties []cdxProperty `json:"properties,omitempty"`
	}
	cdxHash struct {
		Alg     string `json:"alg"`
		Content string `json:"content"`
	}
	// One of the two is set.
	cdxLicence struct {
		Licence    *cdxLicenceID `json:"license,omitempty"`
		Expression string        `json:"expression,omitempty"`
	}
	cdxLicenceID struct {
		ID string `json:"id"`
	}
	cdxPedigree struct {
		Notes string `json:"notes"`
	}
	cdxProperty struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	cdxDependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn,omitempty"`
	}
)

const rootRef = "image"

// WriteCycloneDX writes the bill as CycloneDX 1.6 JSON: the same bytes for the same
// file and document. The error is w's.
func (b *Bill) WriteCycloneDX(w io.Writer, d Document) error {
	bom := cdxBOM{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6",
		Serial: "urn:uuid:" + b.uuid("cyclonedx", d), Version: 1, Components: []cdxComponent{},
	}
	if !d.Time.IsZero() {
		bom.Metadata.Timestamp = d.Time.UTC().Format(time.RFC3339)
	}
	bom.Metadata.Tools.Components = []cdxComponent{{Type: "application", Name: "tailor", Version: d.Tool}}
	bom.Metadata.Component = b.cdxRoot()
	root, refs := cdxDependency{Ref: rootRef}, map[string]int{}
	for i := range b.Modules {
		c := b.cdxModule(&b.Modules[i])
		if refs[c.Ref]++; refs[c.Ref] > 1 { // a record that was tampered with has it twice
			c.Ref += "#" + strconv.Itoa(i)
		}
		bom.Components = append(bom.Components, c)
		root.DependsOn = append(root.DependsOn, c.Ref)
	}
	bom.Dependencies = []cdxDependency{root}
	return writeJSON(w, bom)
}

func (b *Bill) cdxRoot() cdxComponent {
	c := cdxComponent{
		Type: "application", Ref: rootRef, Name: b.name(), Hashes: []cdxHash{{"SHA-256", b.SHA256}},
	}
	for i := range b.Modules {
		if b.Modules[i].Kind == Main {
			c.Version = b.Modules[i].Version
		}
	}
	add := func(name, value string) {
		if value != "" {
			c.Properties = append(c.Properties, cdxProperty{"tailor:" + name, value})
		}
	}
	add("package", b.Main)
	add("go", b.Go)
	if b.Note != nil {
		add("note:tailor", b.Note.Tailor)
		add("note:target", b.Note.Target)
	}
	for _, s := range b.Settings {
		add("build:"+s.Key, s.Value)
	}
	for _, text := range b.Warnings {
		add("warning", text)
	}
	for _, text := range b.Unknown {
		add("unknown", text)
	}
	return c
}

func (b *Bill) cdxModule(m *Module) cdxComponent {
	c := cdxComponent{Type: "library", Ref: ref(m), Name: m.Path, Version: m.Version, PURL: purl(m), CPE: cpe(m)}
	if m.Kind == Tailor {
		c.Type = "framework"
	}
	switch len(m.Licences) {
	case 0:
	case 1:
		c.Licences = []cdxLicence{{Licence: &cdxLicenceID{m.Licences[0]}}}
	default:
		c.Licences = []cdxLicence{{Expression: expression(m.Licences)}}
	}
	if m.Kind == Standard && b.Port != nil {
		c.Pedigree = &cdxPedigree{portText(b.Port)}
	}
	c.Properties = append(c.Properties, cdxProperty{"tailor:kind", string(m.Kind)})
	if m.Version != "" {
		c.Properties = append(c.Properties, cdxProperty{"tailor:version-from", string(m.Source)})
	}
	if m.InFiles != "" {
		c.Properties = append(c.Properties, cdxProperty{"tailor:version-in-files", m.InFiles})
	}
	if m.Sum != "" {
		c.Properties = append(c.Properties, cdxProperty{"tailor:h1", m.Sum})
	}
	if m.Replaced != "" {
		c.Properties = append(c.Properties, cdxProperty{"tailor:replaces", m.Replaced})
	}
	c.Properties = append(c.Properties, cdxProperty{"tailor:linked-packages", strconv.Itoa(len(m.Packages))})
	return c
}

// portText says what was changed of the Go tree.
func portText(p *image.Port) string {
	return fmt.Sprintf("Tailor's runtime port: %d edits; %d files of GOROOT replaced, %d added; sha256 %s", p.Edits, p.Edited, p.Added, p.SHA256)
}

// name is what the program is called.
func (b *Bill) name() string { return cmp.Or(b.Main, printable(filepath.Base(b.File))) }

// uuid is a UUID of version 8 (RFC 9562 section 5.8) made of what goes into a
// document, so that another document has another one.
func (b *Bill) uuid(format string, d Document) string {
	h := sha256.Sum256([]byte(strings.Join([]string{format, b.SHA256, d.Tool, d.Time.UTC().String()}, "\x00")))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// ref names a module within a document.
func ref(m *Module) string {
	return strings.ReplaceAll(string(m.Kind), " ", "-") + ":" + m.Prefix()
}

// purl is the package URL of a module (package-url/purl-spec, type golang): namespace
// and name are lower case. "" for a folder.
func purl(m *Module) string {
	if strings.HasPrefix(m.Path, ".") || strings.HasPrefix(m.Path, "/") {
		return ""
	}
	elements := strings.Split(strings.ToLower(m.Path), "/")
	for i := range elements {
		elements[i] = escape(elements[i])
	}
	s := "pkg:golang/" + strings.Join(elements, "/")
	if m.Version != "" {
		s += "@" + escape(strings.TrimPrefix(goVersion(m), "go"))
	}
	return s
}

// goVersion is the version without what follows a release of Go's ("X:experiment").
func goVersion(m *Module) string {
	version, _, _ := strings.Cut(m.Version, " ")
	return version
}

func escape(s string) string {
	return strings.NewReplacer("+", "%2B", "@", "%40", ":", "%3A", "=", "%3D", "&", "%26").Replace(url.PathEscape(s))
}

// cpe is the name of Go's release in the National Vulnerability Database, "" for
// other modules.
func cpe(m *Module) string {
	version, ok := strings.CutPrefix(goVersion(m), "go")
	if m.Kind != Standard || !ok || strings.Trim(version, "0123456789.") != "" {
		return ""
	}
	return "cpe:2.3:a:golang:go:" + version + ":*:*:*:*:*:*:*"
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
