// Package vulndb reads the Go vulnerability database, or a copy of it: a folder, a
// zip, or a server.
//
// The layout is that of https://vuln.go.dev (https://go.dev/security/vuln/database):
// index/db.json, index/modules.json and, of each vulnerability, ID/GO-….json in the
// OSV format. A copy comes from anywhere: what is read is bounded and checked, and
// what is damaged is an error, since nobody is to take it for good news.
package vulndb

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
)

// Default is the database of the Go project.
const Default = "https://vuln.go.dev"

const (
	maxMeta    = 64 << 10 // bytes of index/db.json
	maxIndex   = 64 << 20 // of index/modules.json
	maxEntry   = 8 << 20  // of one vulnerability
	maxModules = 1 << 20
	maxIDs     = 64 << 10 // of one module
	parallel   = 8        // files asked for at once
	perFile    = 30 * time.Second
)

// A source has the files of a database. It is used by several goroutines at once.
type source interface {
	// open returns the file at a path, as fs.FS has them.
	open(ctx context.Context, name string) (io.ReadCloser, error)
}

// A DB is an open database. Its methods may be called by several goroutines.
type DB struct {
	Source   string    // as given to Open
	Modified time.Time // of the newest vulnerability in it
	Modules  int       // of which it knows vulnerabilities

	src   source
	close func() error
	ids   map[string][]string // by path of the module

	mu      sync.Mutex
	entries map[string]*Entry
}

const (
	getCopy  = "get https://vuln.go.dev/vulndb.zip where there is a network, and give it with --db vulndb.zip"
	giveCopy = "give the zip from https://vuln.go.dev/vulndb.zip, or the folder that it unpacks to"
)

// Open opens the database at where: a folder, a zip, or a URL (https, http, file).
// The caller calls Close.
func Open(ctx context.Context, where string) (*DB, error) {
	db := &DB{Source: where, close: func() error { return nil }, ids: map[string][]string{}, entries: map[string]*Entry{}}
	if err := db.open(where); err != nil {
		return nil, err
	}
	if err := db.index(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Close closes it.
func (db *DB) Close() error { return db.close() }

func (db *DB) open(where string) error {
	scheme, _, isURL := strings.Cut(where, "://")
	switch {
	case !isURL:
	case scheme == "https" || scheme == "http":
		db.src = &server{base: strings.TrimSuffix(where, "/"), client: &http.Client{Timeout: perFile}}
		return nil
	case scheme == "file":
		u, err := url.Parse(where)
		if err != nil || u.Host != "" || u.Path == "" {
			return hint.Errorf("write it as file:///path/to/a/folder", "%s names no folder of this machine", where)
		}
		where = u.Path
	default:
		return hint.Errorf(giveCopy, "a database cannot be read by %s", scheme)
	}
	info, err := os.Stat(where)
	if err != nil {
		return hint.Errorf(giveCopy, "no vulnerability database: %w", short(where, err))
	}
	if info.IsDir() {
		db.src = folder(where)
		return nil
	}
	if !info.Mode().IsRegular() {
		return hint.Errorf(giveCopy, "%s is neither a folder nor a file", where)
	}
	z, err := zip.OpenReader(where)
	if err != nil {
		return hint.Errorf(giveCopy, "%s is no vulnerability database: neither a folder nor a zip (%w)", where, err)
	}
	db.src, db.close = archive{&z.Reader}, z.Close
	return nil
}

// isID reports whether id may name a vulnerability, and so a file.
func isID(id string) bool {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return id != "" && len(id) <= 128 && strings.Contains(letters, id[:1]) && strings.Trim(id, letters+"._-") == ""
}

// index reads what the database has.
func (db *DB) index(ctx context.Context) error {
	var meta struct{ Modified time.Time }
	if err := db.read(ctx, "index/db.json", maxMeta, &meta); err != nil {
		return err
	}
	if db.Modified = meta.Modified; db.Modified.IsZero() {
		return hint.Errorf(giveCopy, "the vulnerability database %s: index/db.json does not say of when it is", db.Source)
	}
	var modules []struct {
		Path  string
		Vulns []struct{ ID string }
	}
	if err := db.read(ctx, "index/modules.json", maxIndex, &modules); err != nil {
		return err
	}
	if len(modules) > maxModules {
		return hint.Errorf(giveCopy, "%s: index/modules.json has %d modules, more than %d", db.Source, len(modules), maxModules)
	}
	for _, m := range modules {
		if len(m.Vulns) > maxIDs {
			return hint.Errorf(giveCopy, "%s: index/modules.json has %d vulnerabilities of %q, more than %d", db.Source, len(m.Vulns), m.Path, maxIDs)
		}
		for _, v := range m.Vulns {
			if !isID(v.ID) {
				return hint.Errorf(giveCopy, "%s: index/modules.json has a vulnerability %q of %q, which is no identifier", db.Source, v.ID, m.Path)
			}
			db.ids[m.Path] = append(db.ids[m.Path], v.ID)
		}
	}
	if db.Modules = len(db.ids); db.Modules == 0 {
		return hint.Errorf(giveCopy, "the vulnerability database %s: index/modules.json has no vulnerability", db.Source)
	}
	return nil
}

// read reads a file of JSON of limit bytes at the most.
func (db *DB) read(ctx context.Context, name string, limit int64, into any) error {
	f, err := db.src.open(ctx, name)
	if err != nil && ctx.Err() != nil { // the database is not to blame
		return context.Cause(ctx)
	}
	if err != nil {
		return hint.With(fmt.Errorf("the vulnerability database %s: %w", db.Source, err), giveCopy)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return hint.With(fmt.Errorf("the vulnerability database %s: read %s: %w", db.Source, name, err), giveCopy)
	case int64(len(data)) > limit:
		return hint.Errorf(giveCopy, "the vulnerability database %s: %s has more than %d bytes", db.Source, name, limit)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return hint.Errorf(giveCopy, "the vulnerability database %s: %s is damaged: %w", db.Source, name, err)
	}
	return nil
}

// Has reports whether db knows vulnerabilities of a module.
func (db *DB) Has(module string) bool { return len(db.ids[module]) > 0 }

// Of returns the vulnerabilities of a module, but for those that were withdrawn, in
// the order of the index.
func (db *DB) Of(ctx context.Context, module string) ([]*Entry, error) {
	ids := db.ids[module]
	list, errs := make([]*Entry, len(ids)), make([]error, len(ids))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	turns := make(chan struct{}, parallel)
	for i, id := range ids {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			if list[i], errs[i] = db.entry(ctx, id); errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wg.Wait()
	var known []*Entry
	for i, e := range list {
		if errs[i] != nil {
			return nil, context.Cause(ctx)
		}
		if e.Withdrawn == nil {
			known = append(known, e)
		}
	}
	return known, nil
}

// entry returns one vulnerability.
func (db *DB) entry(ctx context.Context, id string) (*Entry, error) {
	db.mu.Lock()
	e := db.entries[id]
	db.mu.Unlock()
	if e != nil {
		return e, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e, name := &Entry{}, "ID/"+id+".json"
	if err := db.read(ctx, name, maxEntry, e); err != nil {
		return nil, err
	}
	if err := e.check(id); err != nil {
		return nil, hint.Errorf(giveCopy, "the vulnerability database %s: %s: %w", db.Source, name, err)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.entries[id] = e
	return e, nil
}

// A folder is a database that was unpacked.
type folder string

func (dir folder) open(_ context.Context, name string) (io.ReadCloser, error) {
	path := filepath.Join(string(dir), filepath.FromSlash(name))
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would wait
	if err != nil {
		return nil, short(name, err)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return f, nil
}

// An archive is a database in a zip.
type archive struct{ *zip.Reader }

func (a archive) open(_ context.Context, name string) (io.ReadCloser, error) {
	f, err := a.Open(name)
	if err != nil {
		return nil, short(name, err)
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	return f, nil
}

// short is what is wrong with a file, under the name that it has in the database.
func short(name string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// A server has a database by HTTP.
type server struct {
	base   string
	client *http.Client
}

func (s *server) open(ctx context.Context, name string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/"+name, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return nil, hint.Errorf(getCopy, "it cannot be reached: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, hint.Errorf(getCopy, "%s: the server answers %s", name, resp.Status)
	}
	return resp.Body, nil
}
