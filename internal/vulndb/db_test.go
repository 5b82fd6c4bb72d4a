package vulndb

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/vulndb/vulndbtest"
)

var modified = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// small makes a database with two vulnerabilities of one module, one of another, and
// one that was withdrawn.
func small(t *testing.T) string {
	t.Helper()
	return vulndbtest.Write(t, modified,
		vulndbtest.Flaw{ID: "GO-2024-1", Aliases: []string{"CVE-2024-1"}, Module: "example.com/a", Events: []string{"0", "1.2.0"}, Package: "example.com/a/p", Symbols: []string{"F", "T.M"}},
		vulndbtest.Flaw{ID: "GO-2024-2", Module: "example.com/b", Events: []string{"1.0.0"}},
		vulndbtest.Flaw{ID: "GO-2024-3", Module: "example.com/a", Events: []string{"0"}},
		vulndbtest.Flaw{ID: "GO-2024-4", Module: "example.com/a", Events: []string{"0"}, Withdrawn: true},
	)
}

// A database is the same as a folder, a zip, a URL of either kind.
func TestSources(t *testing.T) {
	dir := small(t)
	s := httptest.NewServer(http.FileServerFS(os.DirFS(dir)))
	defer s.Close()
	for _, where := range []string{dir, vulndbtest.Zip(t, dir), "file://" + dir, s.URL, s.URL + "/"} {
		db, err := Open(t.Context(), where)
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if !db.Modified.Equal(modified) || db.Source != where || db.Modules != 2 {
			t.Errorf("%s: modified %v, source %s, %d modules", where, db.Modified, db.Source, db.Modules)
		}
		for range 2 { // the second time from memory
			list, err := db.Of(t.Context(), "example.com/a")
			if err != nil || len(list) != 2 || list[0].ID != "GO-2024-1" || list[1].ID != "GO-2024-3" {
				t.Fatalf("%s: example.com/a has %v, %v", where, list, err)
			}
			e := list[0]
			p := e.Affected[0].Specific.Imports[0]
			if e.Aliases[0] != "CVE-2024-1" || e.Summary == "" || e.Database.URL == "" || p.Path != "example.com/a/p" || len(p.Symbols) != 2 {
				t.Errorf("%s: %+v", where, e)
			}
		}
		if list, err := db.Of(t.Context(), "example.com/c"); err != nil || len(list) > 0 {
			t.Errorf("%s: a module without flaws has %v, %v", where, list, err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s: close: %v", where, err)
		}
	}
}

// What is no database, or a damaged one, is an error that says what to do.
func TestBadDatabases(t *testing.T) {
	change := func(name, text string) func(dir string) {
		return func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	const one = "ID/GO-2024-1.json"
	for _, c := range []struct {
		name, want string
		do         func(dir string)
	}{
		{"nothing", "index/db.json", func(dir string) { os.RemoveAll(filepath.Join(dir, "index")) }},
		{"no index", "index/modules.json", func(dir string) { os.Remove(filepath.Join(dir, "index/modules.json")) }},
		{"no entry", one, func(dir string) { os.Remove(filepath.Join(dir, one)) }},
		{"text", "db.json is damaged", change("index/db.json", "hello")},
		{"cut short", "modules.json is damaged", change("index/modules.json", `[{"path":"x","vulns":[`)},
		{"no date", "does not say of when it is", change("index/db.json", `{}`)},
		{"null", "has no vulnerability", change("index/modules.json", `null`)},
		{"none", "has no vulnerability", change("index/modules.json", `[{"path":"x","vulns":[]}]`)},
		{"deep", "modules.json is damaged", change("index/modules.json", strings.Repeat("[", 1<<20))},
		{"of another type", "modules.json is damaged", change("index/modules.json", `{"path":7}`)},
		{"huge", "has more than 65536 bytes", change("index/db.json", `{"modified":"`+strings.Repeat("x", 1<<17))},
		{"leads out", `a vulnerability "../../etc/passwd"`, change("index/modules.json", `[{"path":"x","vulns":[{"id":"../../etc/passwd"}]}]`)},
		{"another's", `it has the vulnerability "GO-2024-2"`, change(one, `{"id":"GO-2024-2"}`)},
		{"empty", "it names no module", change(one, `{"id":"GO-2024-1"}`)},
		{"no version", "which is no version", change(one, `{"id":"GO-2024-1","affected":[{"package":{"name":"m"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.x"}]}]}]}`)},
		{"two things", "which is no version", change(one, `{"id":"GO-2024-1","affected":[{"package":{"name":"m"},"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0","fixed":"1.1.0"}]}]}]}`)},
		{"a folder", "is not a regular file", func(dir string) { os.Remove(filepath.Join(dir, one)); os.Mkdir(filepath.Join(dir, one), 0o700) }},
		{"a FIFO", "is not a regular file", func(dir string) {
			os.Remove(filepath.Join(dir, one))
			if err := syscall.Mkfifo(filepath.Join(dir, one), 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		dir := small(t)
		c.do(dir)
		err := readAll(t.Context(), dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || hint.Of(err) == "" {
			t.Errorf("%s: %v, hint %q; want %q", c.name, err, hint.Of(err), c.want)
		}
	}
}

func readAll(ctx context.Context, where string) error {
	db, err := Open(ctx, where)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Of(ctx, "example.com/a")
	return err
}

// A place where there is no database is told from one that cannot be reached.
func TestNoDatabase(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	gone := s.URL
	file := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(file, []byte("no zip"), 0o600); err != nil {
		t.Fatal(err)
	}
	for where, want := range map[string]string{
		"/nowhere": "no vulnerability database", file: "neither a folder nor a zip", "ftp://x": "cannot be read by ftp", os.DevNull: "neither a folder nor a file",
		"file://host/x": "names no folder of this machine", gone: "the server answers 404",
	} {
		if err := readAll(t.Context(), where); err == nil || !strings.Contains(err.Error(), want) || hint.Of(err) == "" {
			t.Errorf("%s: %v, hint %q; want %q", where, err, hint.Of(err), want)
		}
	}
	s.Close()
	if err := readAll(t.Context(), gone); err == nil || !strings.Contains(err.Error(), "cannot be reached") || !strings.Contains(hint.Of(err), "--db vulndb.zip") {
		t.Errorf("a server that is gone: %v, hint %q", err, hint.Of(err))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	for _, where := range []string{small(t), gone} {
		if err := readAll(ctx, where); err != stopped {
			t.Errorf("%s after an interrupt: %v", where, err)
		}
	}
}

// One entry that is damaged is an error, however many are read at once.
func TestOneOfMany(t *testing.T) {
	var flaws []vulndbtest.Flaw
	for i := range 100 {
		flaws = append(flaws, vulndbtest.Flaw{ID: "GO-2024-" + strings.Repeat("7", i+1), Module: "example.com/a", Events: []string{"0"}})
	}
	dir := vulndbtest.Write(t, modified, flaws...)
	if err := readAll(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ID", flaws[60].ID+".json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := readAll(t.Context(), dir); err == nil || !strings.Contains(err.Error(), flaws[60].ID) {
		t.Errorf("a damaged entry: %v", err)
	}
}
