// Command guestbook keeps what visitors write in a file, and shows it. An entry
// that was acknowledged is on the disk: nothing that happens to the machine after
// that loses it. It is plain Go: nothing in it knows whether it runs as a Linux
// process or as a virtual machine.
//
// Usage:
//
//	guestbook [-data folder] [-conf folder] [-addr host:port] [-title text]
//
// The folder of -data (/data) has the entries. That of -conf (/etc/app) is only
// read: guestbook.json has the settings "title" and "addr", and if there are
// tls.key and tls.crt, the service is HTTPS. A flag counts more than a setting,
// and a setting more than what is compiled in.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os/signal"
	"syscall"
	"time"
)

// shutdownTime is how long requests in progress may take after a signal.
const shutdownTime = 10 * time.Second

func main() {
	var given settings
	data := flag.String("data", "/data", "`folder` of the entries")
	conf := flag.String("conf", "/etc/app", "`folder` of the settings and the TLS key")
	flag.StringVar(&given.Title, "title", "", "`text` above the entries")
	flag.StringVar(&given.Addr, "addr", "", "address to listen on, `host:port`; without it :443, or :80 without a key")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *data, *conf, given); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx is done.
func run(ctx context.Context, data, conf string, given settings) error {
	key, err := readKey(conf)
	if err != nil {
		return err
	}
	set, err := readSettings(conf)
	if err != nil {
		return err
	}
	set = given.over(set).over(defaults(key != nil))
	b, err := openBook(data)
	if err != nil {
		return err
	}
	defer b.close()
	ln, err := net.Listen("tcp", set.Addr)
	if err != nil {
		return err
	}
	scheme := "http"
	if key != nil {
		scheme, ln = "https", tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{*key}})
	}
	log.Printf("%d entries; listening on %s://%s", b.count(), scheme, ln.Addr())
	return serve(ctx, ln, handler(b, set.Title))
}

// serve answers on ln until ctx is done and the requests in progress are.
func serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	log.Print("shutting down")
	end, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if err := srv.Shutdown(end); !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return srv.Close()
}
