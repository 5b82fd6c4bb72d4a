package house

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mapRows returns the number of the row that a folder has on the map of
// ARCHITECTURE.md, from 1 on.
func mapRows(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, chapter, _ := strings.Cut(string(text), "\n## Map\n")
	chapter, _, _ = strings.Cut(chapter, "\n## ")
	rows, name := map[string]int{}, regexp.MustCompile("`([^`]+)`")
	for i, line := range strings.Split(chapter, "\n") {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
				rows[m[1]] = i + 1
			}
		}
	}
	return rows
}

// rowOf returns the row of dir or of the nearest folder around it that has one, 0
// for none.
func rowOf(rows map[string]int, dir string) int {
	for ; dir != "." && rows[dir] == 0; dir = path.Dir(dir) {
	}
	return rows[dir]
}

// The map says where things are, and that imports point upwards on it.
func TestMap(t *testing.T) {
	rows, g := mapRows(t), graph(t)
	for dir := range rows {
		if _, err := os.Stat(filepath.Join(root, dir)); err != nil {
			t.Errorf("the map has %s: %v", dir, err)
		}
	}
	for dir, imports := range g {
		row := rowOf(rows, dir)
		if row == 0 && dir != "." {
			t.Errorf("%s is not on the map of ARCHITECTURE.md", dir)
		}
		for _, imported := range imports {
			if on, ours := local(imported); ours && dir != "." && rowOf(rows, on) > row {
				t.Errorf("%s imports %s, which is below it on the map of ARCHITECTURE.md", dir, on)
			}
		}
	}
}
