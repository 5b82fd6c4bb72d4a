// Command website serves a page, its style sheet and a JSON endpoint from
// files embedded in the executable. It is plain Go: nothing in it knows
// whether it runs as a Linux process or as a virtual machine.
//
// Usage:
//
//	website [-addr host:port] [-title text]
//
// The address is :80, or :$PORT if PORT is set. SIGTERM or SIGINT lets the
// requests in progress finish, then ends the program with status 0.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// shutdownTime is how long requests in progress may take after a signal.
const shutdownTime = 10 * time.Second

func main() {
	addr := flag.String("addr", defaultAddr(), "address to listen on, `host:port`")
	title := flag.String("title", defaultTitle, "`text` of the page's title")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *addr, *title); err != nil {
		log.Fatal(err)
	}
}

func defaultAddr() string {
	if port := os.Getenv("PORT"); port != "" {
		return ":" + port
	}
	return ":80"
}

// run serves the site on addr until ctx is done.
func run(ctx context.Context, addr, title string) error {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s", ln.Addr())
	srv := &http.Server{Handler: handler(time.Now(), title), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Print("shutting down")
	return shutdown(srv)
}

func shutdown(srv *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return srv.Close()
}
