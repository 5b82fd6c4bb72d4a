// Command boltd keeps keys and values in a go.etcd.io/bbolt database in a file,
// and serves them over HTTP.
//
//	PUT /KEY, GET /KEY, DELETE /KEY
//	GET /?prefix=P   keys and values in order
//	POST /fill?n=N   puts N keys in one transaction
//	POST /check      looks at each page of the file
//	POST /reopen     closes the file and opens it again
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

const path = "/tmp/data.bolt"

var bucket = []byte("data")

var errNoKey = errors.New("no such key")

// A store is the database; reopening excludes everything else.
type store struct {
	mu sync.RWMutex
	db *bolt.DB
}

func main() {
	s := &store{}
	if err := s.open(); err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.handle(s.list))
	mux.HandleFunc("GET /{key}", s.handle(s.get))
	mux.HandleFunc("PUT /{key}", s.handle(s.put))
	mux.HandleFunc("DELETE /{key}", s.handle(s.remove))
	mux.HandleFunc("POST /fill", s.handle(s.fill))
	mux.HandleFunc("POST /check", s.handle(s.check))
	mux.HandleFunc("POST /reopen", s.reopen)
	log.Print("ready")
	log.Fatal(http.ListenAndServe(":8080", mux))
}

func (s *store) open() (err error) {
	if s.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second}); err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

// handle makes a handler of a function that may fail.
func (s *store) handle(f func(w io.Writer, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.RLock()
		defer s.mu.RUnlock()
		var out strings.Builder
		switch err := f(&out, r); {
		case errors.Is(err, errNoKey):
			http.Error(w, err.Error(), http.StatusNotFound)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			io.WriteString(w, out.String())
		}
	}
}

func (s *store) reopen(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.db.Close(), s.open()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *store) put(_ io.Writer, r *http.Request) error {
	value, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Put([]byte(r.PathValue("key")), value) })
}

func (s *store) get(w io.Writer, r *http.Request) error {
	return s.db.View(func(tx *bolt.Tx) error {
		value := tx.Bucket(bucket).Get([]byte(r.PathValue("key")))
		if value == nil {
			return errNoKey
		}
		_, err := w.Write(value)
		return err
	})
}

func (s *store) remove(_ io.Writer, r *http.Request) error {
	return s.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(bucket).Delete([]byte(r.PathValue("key"))) })
}

func (s *store) list(w io.Writer, r *http.Request) error {
	prefix := r.FormValue("prefix")
	return s.db.View(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
			fmt.Fprintf(w, "%s=%s\n", k, v)
		}
		return nil
	})
}

func (s *store) fill(_ io.Writer, r *http.Request) error {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		for i := range n {
			key, value := fmt.Sprintf("fill%06d", i), fmt.Sprintf("value %d", i*i)
			if err := tx.Bucket(bucket).Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
}

// check prints the pages of the file, or what is wrong with them.
func (s *store) check(w io.Writer, _ *http.Request) error {
	return s.db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			return err
		}
		_, err := fmt.Fprintf(w, "sound, %d bytes\n", tx.Size())
		return err
	})
}
