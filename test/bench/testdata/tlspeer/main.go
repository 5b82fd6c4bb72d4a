// Command tlspeer is one end of TLS connections whose speed is measured. The server
// runs as the guest and as a plain process; openssl s_server -WWW, in a folder with
// the files bulk and small, takes its place. The client is the same for all.
//
// Usage:
//
//	tlspeer serve ADDR PEM                    PEM: certificate and private key
//	tlspeer bulk ADDR SUITE SECONDS           take records as fast as they come
//	tlspeer full ADDR SECONDS                 connect, ask for a little, again and again
//	tlspeer resumed ADDR SECONDS              the same, with the tickets of before
package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// The requests that servers know.
const (
	bulkPath  = "/bulk"
	smallPath = "/small"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tlspeer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 3 && args[0] == "serve" {
		return serve(args[1], args[2])
	}
	if len(args) < 3 {
		return errors.New("usage: tlspeer serve ADDR PEM | bulk ADDR SUITE SECONDS | full|resumed ADDR SECONDS")
	}
	seconds, err := strconv.ParseFloat(args[len(args)-1], 64)
	if err != nil {
		return err
	}
	d := time.Duration(seconds * float64(time.Second))
	switch args[0] {
	case "bulk":
		return bulk(args[1], args[2], d)
	case "full":
		return handshakes(args[1], nil, d)
	case "resumed":
		return handshakes(args[1], tls.NewLRUClientSessionCache(1), d)
	}
	return fmt.Errorf("unknown command %q", args[0])
}
