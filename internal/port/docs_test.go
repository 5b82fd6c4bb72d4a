package port

import (
	"flag"
	"os"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/port.md")

const docFile = "../../docs/port.md"

func TestDoc(t *testing.T) {
	if *update {
		if err := os.WriteFile(docFile, []byte(Doc()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != Doc() {
		t.Error("docs/port.md is not what the tables say; run: go test ./internal/port -run TestDoc -update")
	}
	for _, e := range slices.Concat(Edits, DataEdits, LogEdits, NameEdits, ModuleEdits) {
		if e.Why == "" || e.Old == "" || e.Old == e.New {
			t.Errorf("%s: an edit without a reason or an effect", e.File)
		}
	}
}

func TestApplyEdits(t *testing.T) {
	tests := []struct {
		name, text string
		edits      []Edit
		want       string
		ok         bool
	}{
		{"once", "a b c", []Edit{{Old: "b", New: "x"}}, "a x c", true},
		{"missing", "a b c", []Edit{{Old: "z", New: "x"}}, "", false},
		{"twice instead of once", "b b", []Edit{{Old: "b", New: "x"}}, "", false},
		{"counted", "b b", []Edit{{Old: "b", New: "x", Count: 2}}, "x x", true},
		{"counted wrong", "b b b", []Edit{{Old: "b", New: "x", Count: 2}}, "", false},
		{"in order", "a", []Edit{{Old: "a", New: "b"}, {Old: "b", New: "c"}}, "c", true},
	}
	for _, tt := range tests {
		got, err := applyEdits(tt.text, tt.edits)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func TestRelease(t *testing.T) {
	for version, want := range map[string]string{
		"go1.26.8": "1.26", "go1.27rc1": "1.27", "go1.27": "1.27", "devel go1.28-abc": "", "": "", "go1": "",
	} {
		if got := (Toolchain{Version: version}).Release(); got != want {
			t.Errorf("%q: release %q, want %q", version, got, want)
		}
	}
}

func TestUnsupportedToolchain(t *testing.T) {
	_, err := Prepare(t.Context(), Config{Toolchain: Toolchain{Version: "go1.20.3"}, CacheDir: t.TempDir()})
	if err == nil || err.Error() != "go1.20.3 is not supported (supported: Go 1.26, 1.27)" {
		t.Error(err)
	}
	// A GOROOT whose files are not as expected is refused with the file.
	_, err = Prepare(t.Context(), Config{Toolchain: Toolchain{GOROOT: t.TempDir(), Version: "go1.26.8"}, CacheDir: t.TempDir()})
	if err == nil {
		t.Error("an empty GOROOT was accepted")
	}
	t.Log(err)
}
