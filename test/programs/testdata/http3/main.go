// Command http3 is an HTTP/3 server and its client on github.com/quic-go/quic-go.
//
//	http3 serve ADDRESS             prints the hash of its certificate
//	http3 get URL HASH COUNT BYTES  sends requests, and checks each answer
package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 6 && os.Args[1] == "get":
		err = get(os.Args[2:])
	default:
		err = fmt.Errorf("usage: http3 serve ADDRESS | http3 get URL HASH COUNT BYTES")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "http3:", err)
		os.Exit(1)
	}
}
