package tailor

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// Source has all of the guest's packages but their tests.
func TestSource(t *testing.T) {
	roots := map[string]bool{}
	err := fs.WalkDir(Source, ".", func(name string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "testdata/") {
			t.Errorf("%s is in it", name)
		}
		if root, _, ok := strings.Cut(name, "/"); ok {
			roots[root] = true
		}
		return err
	})
	if err != nil || !roots["libos"] {
		t.Fatal(err, roots)
	}
	for root := range roots {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && d.Name() == "testdata":
				return fs.SkipDir
			case d.IsDir(), strings.HasSuffix(name, "_test.go"):
				return nil
			}
			have, err := fs.ReadFile(Source, name)
			if err != nil {
				t.Errorf("%s is not in it: add %s to embed.go", name, pattern(name))
				return nil
			}
			if want, err := os.ReadFile(name); err != nil || string(have) != string(want) {
				t.Errorf("%s is not what it is in the repository: %v", name, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// pattern returns the one of embed.go for a file, in whatever folder that deep.
func pattern(name string) string {
	dir, file := path.Split(name)
	root, rest, _ := strings.Cut(dir, "/")
	last := "*" + path.Ext(file)
	if base, ok := strings.CutSuffix(file, ".go"); ok {
		last = "*[^t].go"
		for _, end := range []string{"t", "st", "est", "test"} {
			if strings.HasSuffix(base, end) {
				last = map[string]string{"t": "*[^s]t.go", "st": "*[^e]st.go", "est": "*[^t]est.go", "test": "*[^_]test.go"}[end]
			}
		}
	}
	return root + "/" + strings.Repeat("*/", strings.Count(rest, "/")) + last
}
