//go:build tailoros

// Package names puts package names between net's resolvers and the network: a cache of
// answers and, in programs that boot/names/tls is linked into, servers that are asked
// over TLS. It is linked into programs that are built with --resolver.
package names

import (
	"net"

	"github.com/tailor-os/tailor/boot/parameters"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/names"
	"github.com/tailor-os/tailor/params"
)

// usualEntries is how many answers are kept if the parameter dns-cache says nothing.
const usualEntries = 1000

var stub *names.Stub

func init() {
	// Where others say who is asked, nobody is in the clear for even a moment.
	if parameters.Given().Get("dns-tls") == "" {
		Ask(names.Plain{})
	}
}

// Ask has all resolvers of package net that have no Dial of their own ask up. It is
// called before the program runs.
func Ask(up names.Upstream) {
	entries := params.Entries(parameters.Given().Get("dns-cache"))
	if entries < 0 {
		entries = usualEntries
	}
	stub = names.New(names.NewCache(entries), up)
	net.TailorResolver = stub.Dial
}

// WriteFigures is a [metrics.Source].
func WriteFigures(w *metrics.Writer) { stub.WriteFigures(w) }
