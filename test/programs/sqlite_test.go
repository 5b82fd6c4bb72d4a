package programs

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSQLite: modernc.org/sqlite with a database in a file of the guest's
// memory, in each of the journal modes that use files differently.
func TestSQLite(t *testing.T) { each(t, testSQLite, "spt") }

func testSQLite(t *testing.T, on target) {
	g := on.boot(t, local(t, "sqlited"), []string{"8080/tcp"})
	g.answersHTTP(g.url("/"))
	sql := func(text string) string { t.Helper(); return curl(t, "--data-binary", text, g.url("/")) }

	sql("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT UNIQUE, born TEXT); CREATE TABLE loaded (id INTEGER PRIMARY KEY, word TEXT, half REAL); CREATE INDEX by_word ON loaded(word)")
	sql("INSERT INTO person (name, born) VALUES ('Ada', '1815-12-10'), ('Grace', '1906-12-09'), ('Jürgen', '1940-01-01')")
	want(t, "rows in order", sql("SELECT id, upper(name) FROM person ORDER BY born DESC"), "3|JüRGEN\n2|GRACE\n1|ADA\n")
	if text := curl(t, "--no-fail-with-body", "--no-fail", "--data-binary", "INSERT INTO person (name) VALUES ('Ada')", g.url("/")); !strings.Contains(text, "UNIQUE constraint failed: person.name") {
		t.Errorf("a second Ada: %q", text)
	}
	for i, journal := range []string{"delete", "truncate", "wal"} {
		t.Run(journal, func(t *testing.T) {
			curl(t, "-X", "POST", g.url("/reopen?journal="+journal))
			want(t, "journal mode", sql("PRAGMA journal_mode"), journal+"\n")
			sql("DELETE FROM loaded")
			begin := time.Now()
			curl(t, "-X", "POST", g.url("/load?n=20000"))
			t.Logf("20,000 rows in one transaction in %v", time.Since(begin).Round(time.Millisecond))
			want(t, "an aggregate", sql("SELECT count(*), sum(half), count(DISTINCT word) FROM loaded"), "20000|9.9995e+07|100\n")
			want(t, "a join", sql("SELECT p.name, count(*) FROM person p JOIN loaded l ON l.id % 3 = p.id - 1 AND l.word = 'word 7' GROUP BY p.id"), "Ada|66\nGrace|67\nJürgen|67\n")
			sql(fmt.Sprintf("BEGIN; UPDATE person SET born = '%d'; ROLLBACK", i))
			want(t, "after a rollback", sql("SELECT born FROM person WHERE name = 'Ada'"), "1815-12-10\n")
			want(t, "the file's state", sql("PRAGMA integrity_check"), "ok\n")
		})
	}
}
