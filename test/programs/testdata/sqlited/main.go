// Command sqlited answers SQL over HTTP from a modernc.org/sqlite database in a
// file: a POST with statements as its body; the rows come back as lines, with
// "|" between columns. POST /load?n=N inserts N rows, each prepared, in one
// transaction; POST /reopen closes the file and opens it again.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"

	_ "modernc.org/sqlite"
)

const source = "file:/tmp/data.sqlite?_pragma=busy_timeout(5000)&_pragma=journal_mode("

// A store is the database; reopening excludes everything else.
type store struct {
	mu sync.RWMutex
	db *sql.DB
}

func main() {
	s := &store{}
	if err := s.open("delete"); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /{$}", s.handle(s.query))
	http.HandleFunc("POST /load", s.handle(s.load))
	http.HandleFunc("POST /reopen", s.reopen)
	log.Print("ready")
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func (s *store) open(journal string) (err error) {
	if s.db, err = sql.Open("sqlite", source+journal+")"); err != nil {
		return err
	}
	return s.db.Ping()
}

func (s *store) reopen(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.db.Close(), s.open(r.FormValue("journal"))); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// handle makes a handler of a function that may fail.
func (s *store) handle(f func(w io.Writer, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		var out strings.Builder
		if err := f(&out, r); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, out.String())
	}
}

func (s *store) query(w io.Writer, r *http.Request) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	rows, err := s.db.QueryContext(r.Context(), string(text))
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			fmt.Fprintf(w, "%v%c", v, "|\n"[b2i(i == len(values)-1)])
		}
	}
	return rows.Err()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// load inserts rows into the table "loaded", all or none.
func (s *store) load(w io.Writer, r *http.Request) error {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	insert, err := tx.Prepare("INSERT INTO loaded (id, word, half) VALUES (?, ?, ?)")
	if err != nil {
		return err
	}
	for i := range n {
		if _, err := insert.Exec(i, fmt.Sprintf("word %d", i%100), float64(i)/2); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "%d rows\n", n)
	return tx.Commit()
}
