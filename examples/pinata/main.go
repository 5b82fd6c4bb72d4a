// Command pinata is a fortress of TLS with a secret in it. Whoever authenticates
// with a certificate of its authority gets the secret, and nobody can, since the
// authority's key was thrown away: who gets it has broken something. It is plain
// Go: nothing in it knows whether it runs as a Linux process or as a virtual
// machine.
//
// Usage:
//
//	pinata [-secret text] [-ca pem -cert pem -key pem] [-conf folder]
//	       [-secrets folder] [-web addr] [-webs addr] [-server addr]
//	       [-back addr] [-client addr] [-back-port n] [-back-every duration]
//	       [-max n] [-per-peer n] [-handshake duration]
//
// There are three doors. On each, both sides must show a certificate of the
// authority, and then each sends the other what it has:
//
//   - -server (:10000) is a TLS server;
//   - -back (:10001) closes the connection and connects to port 40001 of who made
//     it, as a TLS client;
//   - -client (:10002) is a TLS client on the connection that was made to it.
//
// -web (:80) and -webs (:443, with TLS) serve pages about that: the rules, the
// authority's certificate, figures, and a picture of who tries.
//
// Secret and authority come from flags, or files in the folders of -secrets
// (/run/secrets) and -conf (/etc/pinata): secret, ca.pem, cert.pem, key.pem.
// Without an authority each start makes one, and drops its key.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags that are not settings from elsewhere too.
type options struct {
	web, webs            string // addresses of the pages
	server, back, client string // addresses of the doors
	backPort             int
	limits
}

// limits bound what strangers cost.
type limits struct {
	max, perPeer int           // connections at the doors
	handshake    time.Duration // the longest one
	backEvery    time.Duration // between two connections back to a peer
}

func main() {
	var given settings
	var o options
	flag.StringVar(&given.secret, "secret", "", "`text` to hand out")
	flag.StringVar(&given.ca, "ca", "", "certificate of the authority: PEM, or the `file` that has it")
	flag.StringVar(&given.cert, "cert", "", "certificate of this program, signed by it: PEM, or the `file` that has it")
	flag.StringVar(&given.key, "key", "", "key of that: PEM, or the `file` that has it")
	conf := flag.String("conf", "/etc/pinata", "`folder` of secret, ca.pem, cert.pem and key.pem")
	secrets := flag.String("secrets", "/run/secrets", "`folder` of the same files, which counts more")
	flag.StringVar(&o.web, "web", ":80", "`address` of the pages")
	flag.StringVar(&o.webs, "webs", ":443", "`address` of the pages with TLS")
	flag.StringVar(&o.server, "server", ":10000", "`address` of the TLS server")
	flag.StringVar(&o.back, "back", ":10001", "`address` from which it connects back")
	flag.StringVar(&o.client, "client", ":10002", "`address` of the TLS client on connections of others")
	flag.IntVar(&o.backPort, "back-port", 40001, "`port` of the peer to connect back to")
	flag.DurationVar(&o.backEvery, "back-every", 10*time.Second, "least `time` between two connections back to one peer")
	flag.IntVar(&o.max, "max", 256, "open connections at all doors, at most `n`")
	flag.IntVar(&o.perPeer, "per-peer", 64, "open connections of one peer, at most `n`")
	flag.DurationVar(&o.handshake, "handshake", 5*time.Second, "longest `time` of a handshake")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o, given, *secrets, *conf); err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// check reports what is wrong with the options.
func (o options) check() error {
	switch {
	case o.max < 1 || o.perPeer < 1:
		return errors.New("-max and -per-peer must be 1 at least")
	case o.handshake <= 0:
		return errors.New("-handshake must be more than nothing")
	case o.backPort < 1 || o.backPort > 65535:
		return fmt.Errorf("-back-port %d is no port", o.backPort)
	}
	return nil
}

// run guards the secret until ctx is done.
func run(ctx context.Context, o options, given settings, folders ...string) error {
	if err := o.check(); err != nil {
		return err
	}
	set, err := given.complete(folders...)
	if err != nil {
		return err
	}
	id, err := set.identity(time.Now())
	if err != nil {
		return err
	}
	s, err := open(newFortress(id, set.secret, o), o)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s, TLS server on %s", s.web.Addr(), s.server.Addr())
	err = s.serve(ctx)
	log.Print("shutting down")
	return err
}
