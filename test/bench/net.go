package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A network is two ways from one client to one server, in namespaces of their
// own so that no packet of a measurement meets another network:
//
//	client namespace                     server namespace
//	  tap   192.0.2.1/24  -- virtual machine 192.0.2.2
//	  veth  198.51.100.1/24 ------------ veth 198.51.100.2/24
//
// The addresses are of the blocks for documentation, RFC 5737.
type network struct {
	client, server string // namespaces
	tap            string
}

const (
	tapHost  = "192.0.2.1"
	tapGuest = "192.0.2.2"
	vethHost = "198.51.100.1"
	vethPeer = "198.51.100.2"
)

// newNetwork makes a network, which close removes.
func newNetwork(ctx context.Context) (_ *network, err error) {
	base := fmt.Sprintf("tlrb%d", os.Getpid()%100000)
	n := &network{client: base + "c", server: base + "s", tap: base + "t"}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	veth := base + "v"
	for _, line := range []string{
		"netns add " + n.client,
		"netns add " + n.server,
		"-n " + n.client + " link set lo up",
		"-n " + n.client + " tuntap add " + n.tap + " mode tap vnet_hdr",
		"-n " + n.client + " addr add " + tapHost + "/24 dev " + n.tap,
		"-n " + n.client + " link set " + n.tap + " up",
		"-n " + n.client + " link add " + veth + " type veth peer name " + veth + " netns " + n.server,
		"-n " + n.client + " addr add " + vethHost + "/24 dev " + veth,
		"-n " + n.client + " link set " + veth + " up",
		"-n " + n.server + " addr add " + vethPeer + "/24 dev " + veth,
		"-n " + n.server + " link set " + veth + " up",
	} {
		if _, err := output(ctx, anywhere, append([]string{"ip"}, strings.Fields(line)...)...); err != nil {
			return nil, fmt.Errorf("make a test network: %w", err)
		}
	}
	return n, nil
}

// close removes the namespaces and, with them, what is in them.
func (n *network) close() error {
	var errs []error
	for _, ns := range []string{n.client, n.server} {
		// Not with the benchmark's context, which may be what ended it.
		if _, err := output(context.Background(), anywhere, "ip", "netns", "del", ns); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
