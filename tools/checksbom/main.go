// Checksbom reads bills of materials as other people's tools do, for tests: CycloneDX
// 1.6 by its own library and by the schema that comes with it, SPDX 2.3 by SPDX's
// library. It prints how many components a document has and fails if it is none.
//
// It is a module of its own, as is what it uses, so that nobody who uses Tailor
// meets that.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdxlib"
)

func main() {
	for _, file := range os.Args[1:] {
		n, err := check(file)
		if err != nil {
			fmt.Fprintf(os.Stderr, "checksbom: %s: %v\n", file, err)
			os.Exit(1)
		}
		fmt.Printf("%s: %d components\n", file, n)
	}
}

func check(file string) (components int, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	if bytes.Contains(data, []byte(`"spdxVersion"`)) {
		return checkSPDX(data)
	}
	return checkCycloneDX(data)
}

func checkCycloneDX(data []byte) (int, error) {
	schema, err := cycloneDXSchema()
	if err != nil {
		return 0, fmt.Errorf("the schema: %w", err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	if err := schema.Validate(document); err != nil {
		return 0, err
	}
	var bom cdx.BOM
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&bom); err != nil {
		return 0, err
	}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		if refs[c.BOMRef] {
			return 0, fmt.Errorf("two components are %q", c.BOMRef)
		}
		refs[c.BOMRef] = true
	}
	for _, d := range *bom.Dependencies {
		for _, ref := range append([]string{d.Ref}, *d.Dependencies...) {
			if !refs[ref] {
				return 0, fmt.Errorf("no component is %q", ref)
			}
		}
	}
	return len(*bom.Components), nil
}

// cycloneDXSchema is the schema in the module of CycloneDX's library.
func cycloneDXSchema() (*jsonschema.Schema, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for url, name := range map[string]string{
		"http://cyclonedx.org/schema/bom-1.6.schema.json": "bom-1.6.schema.json", "http://cyclonedx.org/schema/spdx.schema.json": "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json",
	} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		doc, err := jsonschema.UnmarshalJSON(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := c.AddResource(url, doc); err != nil {
			return nil, err
		}
	}
	return c.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
}

func checkSPDX(data []byte) (int, error) {
	doc, err := spdxjson.Read(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		return 0, err
	}
	if doc.SPDXVersion != spdx.Version {
		return 0, fmt.Errorf("version %s, not %s", doc.SPDXVersion, spdx.Version)
	}
	described, err := spdxlib.GetDescribedPackageIDs(doc)
	if err != nil {
		return 0, err
	}
	if len(described) != 1 {
		return 0, errors.New("it does not describe one package")
	}
	return len(doc.Packages) - 1, nil
}
