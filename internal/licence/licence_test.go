package licence

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Tailor's own licence and Go's are what they are known to be.
func TestOf(t *testing.T) {
	if got := Of("../.."); !slices.Equal(got, []string{"ISC"}) {
		t.Errorf("Tailor is under %q", got)
	}
	text, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	goText, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := Of(dir); len(got) > 0 {
		t.Errorf("an empty folder is under %q", got)
	}
	write("LICENSE.txt", text)
	write("COPYING", goText)
	write("license.go", goText)
	write("LICENSE-empty", nil)
	write("NOTICE", []byte("This comes with no warranty."))
	if err := syscall.Mkfifo(filepath.Join(dir, "LICENCE"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := Of(dir); !slices.Equal(got, []string{"BSD-3-Clause", "ISC"}) {
		t.Errorf("two licences are %q", got)
	}
	if got := Of(filepath.Join(dir, "nowhere")); got != nil {
		t.Errorf("no folder is under %q", got)
	}
}

// Each licence that is looked for is there, and what is none is not taken for one.
func TestIn(t *testing.T) {
	if n := len(texts()); n != len(known) {
		t.Errorf("%d licences are looked for, %d are known", n, len(known))
	}
	license, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	other := string(license) + strings.Repeat("\nThe user shall also send a postcard to each of the authors.", 40)
	for _, text := range []string{"", "All rights reserved.", other, "\xff\x00\xfe", "see https://opensource.org/licenses/MIT"} {
		if got := In([]byte(text)); len(got) > 0 {
			t.Errorf("%.40q is under %q", text, got)
		}
	}
}
