package paramdoc

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/params"
)

var update = flag.Bool("update", false, "rewrite docs/parameters.md")

const docFile = "../../docs/parameters.md"

func TestDoc(t *testing.T) {
	if *update {
		if err := os.WriteFile(docFile, []byte(Markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Markdown() {
		t.Error("docs/parameters.md is not what the table says; run: go test ./internal/paramdoc -update")
	}
}

// Every parameter that the guest knows is documented, with an example that is
// accepted.
func TestComplete(t *testing.T) {
	known := params.Known()
	if len(known) != len(docs) {
		t.Fatalf("%d parameters are known, %d documented", len(known), len(docs))
	}
	for i, p := range known {
		d := docs[i]
		if d.name != p.Name {
			t.Fatalf("parameter %d is %s, documented as %s: keep the order", i, p.Name, d.name)
		}
		if err := params.Check([]string{d.name + "=" + d.example}); err != nil {
			t.Errorf("the example: %v", err)
		}
		if !strings.Contains(Text(), d.name+"="+p.Syntax) {
			t.Errorf("%s is not in the text", d.name)
		}
	}
}

func TestParse(t *testing.T) {
	for word, want := range map[string]string{
		"hostname=web-1": "", "mtu=1400": "", "search=a.example,b.example": "",
		"quiet": "no effect", "debug=1": "no effect", "root=/x": "no effect",
		"hostname=a_b": "malformed", "hostnam=a": "known are", "ip=10.0.2.15/24": "flag of its own", "cwd=/": "tailor itself",
	} {
		got, err := Parse(word)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) || err == nil && got != word {
			t.Errorf("%s: %q, %v", word, got, err)
		}
	}
}
