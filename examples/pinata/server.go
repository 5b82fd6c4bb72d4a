package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"sync"
	"sync/atomic"
)

// Bounds of the pages, in connections.
const webMax, webPerPeer = 128, 64

// A server is a fortress, its pages, and where both listen.
type server struct {
	*fortress
	visits, winners                 *log.Logger // what strangers cause
	crowd, webCrowd                 *crowd
	web, webs, server, back, client *crowdListener
	pages                           map[string]page
	watching                        atomic.Int32
}

// open listens at all addresses. What is open already is closed on failure.
func open(f *fortress, o options) (*server, error) {
	s := &server{
		fortress: f,
		visits:   log.New(newThrottle(os.Stderr), "", log.LstdFlags),
		winners:  log.New(newThrottle(os.Stderr), "", log.LstdFlags),
		crowd:    newCrowd(o.max, o.perPeer),
		webCrowd: newCrowd(webMax, webPerPeer),
	}
	for _, l := range []struct {
		at     **crowdListener
		addr   string
		crowd  *crowd
		budget int64
	}{
		{&s.web, o.web, s.webCrowd, webBudget}, {&s.webs, o.webs, s.webCrowd, webBudget},
		{&s.server, o.server, s.crowd, peerBudget}, {&s.back, o.back, s.crowd, peerBudget}, {&s.client, o.client, s.crowd, peerBudget},
	} {
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			s.close()
			return nil, err
		}
		*l.at = &crowdListener{ln, l.crowd, l.budget, s.visits}
	}
	s.pages = s.makePages()
	return s, nil
}

// close ends everything that is open.
func (s *server) close() {
	for _, l := range []*crowdListener{s.web, s.webs, s.server, s.back, s.client} {
		if l != nil {
			l.Close()
		}
	}
	s.crowd.close()
	s.webCrowd.close()
}

// serve serves until ctx is done, or one of the listeners fails.
func (s *server) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, s.close)()
	web := s.webConfig()
	var all sync.WaitGroup
	errs := make(chan error, 5)
	for _, l := range []struct {
		*crowdListener
		serve func(*visitor)
	}{
		{s.web, func(v *visitor) { s.serveWeb(v, nil) }},
		{s.webs, func(v *visitor) { s.serveWeb(v, web) }},
		{s.server, func(v *visitor) { s.guard(ctx, serverDoor, v, s.asServer) }},
		{s.back, func(v *visitor) { s.guard(ctx, backDoor, v, s.asBack) }},
		{s.client, func(v *visitor) { s.guard(ctx, clientDoor, v, s.asClient) }},
	} {
		all.Go(func() {
			errs <- l.each(l.serve)
			cancel()
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, net.ErrClosed) {
			return err
		}
	}
	return nil
}

// guard lets a visitor try its luck at a door.
func (s *server) guard(ctx context.Context, d door, v *visitor, try func(context.Context, *visitor) (bool, error)) {
	s.board.begin(d)
	itself, err := try(ctx, v)
	v.Close()
	s.board.end(d, v.peer, itself, err)
	s.report(d, v, itself, err)
}

// report writes a line about an attempt. What peers can put into an error, names
// of certificates above all, is quoted. No flood of failures hides a success.
func (s *server) report(d door, v *visitor, itself bool, err error) {
	switch {
	case err != nil:
		s.visits.Printf("%s: %v: %s: %.200q", doorNames[d], v.RemoteAddr(), reasonNames[reasonOf(err)], err)
	case itself:
		s.visits.Printf("%s: %v: talked to itself", doorNames[d], v.RemoteAddr())
	default:
		s.winners.Printf("%s: %v: AUTHENTICATED, AND HAS THE SECRET", doorNames[d], v.RemoteAddr())
	}
}
