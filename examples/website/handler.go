package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"io/fs"
	"log"
	"net/http"
	"runtime"
	"strings"
	"time"
)

//go:embed site
var site embed.FS

// defaultTitle is the title that site/index.html has.
const defaultTitle = "It runs"

// handler returns the whole site; started is when the program began.
func handler(started time.Time, title string) http.Handler {
	files, err := fs.Sub(site, "site")
	if err != nil {
		panic(err) // "site" is a valid path
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.Handle("GET /{$}", index(title))
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(readStatus(started)); err != nil {
			log.Printf("/api/status to %s: %v", r.RemoteAddr, err)
		}
	})
	return mux
}

// escape makes HTML of text. Package html would bring its table of entities.
var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// index returns the page with a title.
func index(title string) http.Handler {
	text, err := site.ReadFile("site/index.html")
	if err != nil {
		panic(err) // it is embedded
	}
	page := []byte(strings.ReplaceAll(string(text), defaultTitle, escape.Replace(title)))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "index.html", time.Time{}, bytes.NewReader(page))
	})
}

// status is what /api/status answers.
type status struct {
	Go         string  `json:"go"` // version
	OS         string  `json:"os"`
	Arch       string  `json:"arch"`
	CPUs       int     `json:"cpus"`
	Uptime     float64 `json:"uptime_seconds"`
	Goroutines int     `json:"goroutines"`
	Heap       uint64  `json:"heap_bytes"`   // live and not yet collected objects
	Memory     uint64  `json:"memory_bytes"` // address space that Go obtained
	GCs        uint32  `json:"gc_cycles"`
}

func readStatus(started time.Time) status {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return status{
		Go:         runtime.Version(),
		OS:         runtime.GOOS,
		Arch:       runtime.GOARCH,
		CPUs:       runtime.GOMAXPROCS(0),
		Uptime:     time.Since(started).Seconds(),
		Goroutines: runtime.NumGoroutine(),
		Heap:       mem.HeapAlloc,
		Memory:     mem.Sys,
		GCs:        mem.NumGC,
	}
}
