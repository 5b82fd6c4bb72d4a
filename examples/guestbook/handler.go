package main

import (
	_ "embed"
	"errors"
	"html/template"
	"io"
	"log"
	"net/http"
	"strings"
	"syscall"
	"time"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// handler shows a book and takes entries.
func handler(b *book, title string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
		err := page.Execute(w, map[string]any{"Title": title, "Count": b.count(), "Entries": b.latest(), "MaxName": maxName, "MaxText": maxText})
		if err != nil {
			log.Printf("page to %s: %v", r.RemoteAddr, err)
		}
	})
	mux.HandleFunc("GET /entries", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/jsonl")
		if _, err := io.Copy(w, b.all()); err != nil {
			log.Printf("entries to %s: %v", r.RemoteAddr, err)
			panic(http.ErrAbortHandler) // so that the client does not take it for all
		}
	})
	mux.HandleFunc("POST /{$}", func(w http.ResponseWriter, r *http.Request) { take(b, w, r) })
	return http.NewCrossOriginProtection().Handler(mux)
}

// take takes an entry of a form.
func take(b *book, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	e := entry{Time: time.Now().UTC(), Name: strings.TrimSpace(r.PostForm.Get("name")), Text: strings.TrimSpace(r.PostForm.Get("text"))}
	if e.Text == "" || len(e.Text) > maxText || len(e.Name) > maxName {
		http.Error(w, "the text must have 1 to 2000 bytes, the name at most 100", http.StatusBadRequest)
		return
	}
	switch err := b.put(e); {
	case err == nil:
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case errors.Is(err, syscall.ENOSPC):
		http.Error(w, "the book is full", http.StatusInsufficientStorage)
	default:
		log.Print(err)
		http.Error(w, "the entry could not be kept", http.StatusServiceUnavailable)
	}
}
