package main

import (
	"embed"
	"encoding/json"
	"io/fs"
	"log"
	"net/http"
	"runtime"
	"time"
)

//go:embed site
var site embed.FS

// handler returns the whole site; started is when the program began.
func handler(started time.Time) http.Handler {
	files, err := fs.Sub(site, "site")
	if err != nil {
		panic(err) // "site" is a valid path
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		if err := json.NewEncoder(w).Encode(readStatus(started)); err != nil {
			log.Printf("/api/status to %s: %v", r.RemoteAddr, err)
		}
	})
	return mux
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
