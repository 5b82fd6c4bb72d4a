package usernet

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	dnsPort       = 53
	dnsHdrSize    = 12               // RFC 1035 section 4.1.1
	dnsTimeout    = 3 * time.Second  // for each of the host's resolvers
	dnsLastResort = 10 * time.Second // for the host's own library
	dnsIdle       = 10 * time.Second // for a TCP connection without a query
	dnsReread     = 2 * time.Second  // between looks at resolv.conf
	dnsMaxQueries = 256              // at once
	dnsMaxServers = 3                // MAXNS of resolv.conf(5)
	dnsTTL        = 30               // seconds, for answers made here
)

// startDNS answers queries at the resolver's addresses over UDP. Those over
// TCP come in with the other connections.
func (n *Network) startDNS() error {
	d := &resolver{path: n.cfg.ResolvConf}
	n.dns = d
	slots := make(chan struct{}, dnsMaxQueries)
	for _, a := range []netip.Addr{dns4, dns6} {
		proto := tcpip.NetworkProtocolNumber(ipv4.ProtocolNumber)
		if a.Is6() {
			proto = ipv6.ProtocolNumber
		}
		wq := new(waiter.Queue)
		ep, err := n.stack.NewEndpoint(udp.ProtocolNumber, proto, wq)
		if err != nil {
			return fmt.Errorf("usernet: cannot start the resolver: %s", err)
		}
		g := newGuestConn(ep, wq)
		if err := ep.Bind(tcpip.FullAddress{NIC: nicID, Addr: toTCPIP(a), Port: dnsPort}); err != nil {
			g.Close()
			return fmt.Errorf("usernet: cannot start the resolver: %s", err)
		}
		n.spawn(func() { n.serveDNS(g, slots) })
	}
	return nil
}

// serveDNS answers queries over UDP. Over dnsMaxQueries at once are dropped.
func (n *Network) serveDNS(g *guestConn, slots chan struct{}) {
	defer g.Close()
	buf := make([]byte, 4096) // a query is far shorter
	for {
		size, from, ok := g.readPacket(buf, n.ctx.Done())
		if !ok {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		query := bytes.Clone(buf[:size])
		if !n.spawn(func() {
			defer func() { <-slots }()
			if answer := n.dns.resolve(n.ctx, "udp", query); answer != nil {
				g.writePacket(answer, &from)
			}
		}) {
			return
		}
	}
}

// serveDNSStream answers queries over TCP (RFC 7766), one at a time.
func (n *Network) serveDNSStream(g *guestConn) {
	defer g.Close()
	idle := time.AfterFunc(dnsIdle, g.abort)
	defer idle.Stop()
	for {
		idle.Reset(dnsIdle)
		query, err := readStreamMessage(g)
		if err != nil {
			return
		}
		idle.Stop()
		answer := n.dns.resolve(n.ctx, "tcp", query)
		if answer == nil {
			return
		}
		idle.Reset(dnsIdle)
		if _, err := g.Write(streamMessage(answer)); err != nil {
			return
		}
	}
}

// readStreamMessage reads a message with its length before it (RFC 1035
// section 4.2.2).
func readStreamMessage(r io.Reader) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(size[:]))
	_, err := io.ReadFull(r, msg)
	return msg, err
}

func streamMessage(msg []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}

// resolver passes queries to the host's resolvers as they are.
type resolver struct {
	path string

	mu      sync.Mutex
	checked time.Time
	modTime time.Time
	servers []netip.AddrPort
}

// list returns the host's resolvers. The file is read again when it changed,
// since a host moves between networks while its guests run.
func (d *resolver) list() []netip.AddrPort {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.checked) < dnsReread {
		return d.servers
	}
	d.checked = time.Now()
	fi, err := os.Stat(d.path)
	if err != nil {
		d.servers, d.modTime = nil, time.Time{}
		return nil
	}
	if !fi.ModTime().Equal(d.modTime) {
		d.modTime = fi.ModTime()
		text, _ := os.ReadFile(d.path)
		d.servers = parseResolvConf(string(text))
	}
	return d.servers
}

// parseResolvConf returns the nameserver lines' addresses (resolv.conf(5)).
func parseResolvConf(text string) []netip.AddrPort {
	var servers []netip.AddrPort
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(servers) == dnsMaxServers {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			servers = append(servers, netip.AddrPortFrom(a, dnsPort))
		} else if ap, err := netip.ParseAddrPort(f[1]); err == nil {
			servers = append(servers, ap) // as BSD has it, and our tests
		}
	}
	return servers
}

// resolve returns the answer to a query, or nil for what is not one.
func (d *resolver) resolve(ctx context.Context, network string, query []byte) []byte {
	if len(query) < dnsHdrSize || query[2]&0x80 != 0 {
		return nil
	}
	silent := false // a resolver is there, and does not answer
	for _, s := range d.list() {
		answer, err := exchange(ctx, network, s, query)
		if err == nil {
			return answer
		}
		var nerr net.Error
		silent = silent || errors.As(err, &nerr) && nerr.Timeout()
	}
	if silent || ctx.Err() != nil {
		return failure(query, dnsmessage.RCodeServerFailure)
	}
	return lookup(ctx, query)
}

// exchange asks one resolver.
func exchange(ctx context.Context, network string, server netip.AddrPort, query []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTimeout)
	defer cancel()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		if _, err := c.Write(streamMessage(query)); err != nil {
			return nil, err
		}
		answer, err := readStreamMessage(c)
		if err == nil && !answers(query, answer) {
			err = errors.New("not an answer to the query")
		}
		return answer, err
	}
	if _, err := c.Write(query); err != nil {
		return nil, err
	}
	buf := make([]byte, 65535)
	for {
		size, err := c.Read(buf)
		if err != nil {
			return nil, err
		}
		if answers(query, buf[:size]) { // anything else may be a forger's guess
			return buf[:size], nil
		}
	}
}

// answers reports whether msg is a response with the query's identifier.
func answers(query, msg []byte) bool {
	return len(msg) >= dnsHdrSize && msg[0] == query[0] && msg[1] == query[1] && msg[2]&0x80 != 0
}

// failure returns a response that repeats the question and holds nothing else.
func failure(query []byte, code dnsmessage.RCode) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	return respond(h, &p, code, nil)
}

func respond(h dnsmessage.Header, p *dnsmessage.Parser, code dnsmessage.RCode, addrs []netip.Addr) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode,
		RecursionDesired: h.RecursionDesired, RecursionAvailable: true, RCode: code})
	b.EnableCompression()
	if q, err := p.Question(); err == nil && b.StartQuestions() == nil {
		b.Question(q)
		b.StartAnswers()
		rh := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: dnsTTL}
		for _, a := range addrs {
			if a.Is4() {
				b.AResource(rh, dnsmessage.AResource{A: a.As4()})
			} else {
				b.AAAAResource(rh, dnsmessage.AAAAResource{AAAA: a.As16()})
			}
		}
	}
	msg, err := b.Finish()
	if err != nil {
		return nil
	}
	return msg
}

// maxAnswers keeps an answer made here in 512 bytes (RFC 1035 section 4.2.1).
const maxAnswers = 8

// lookup answers queries for addresses with the host's own library, which
// knows more ways than resolv.conf.
func lookup(ctx context.Context, query []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	ask := p // Question moves on
	q, err := ask.Question()
	if err != nil {
		return respond(h, &p, dnsmessage.RCodeFormatError, nil)
	}
	network := map[dnsmessage.Type]string{dnsmessage.TypeA: "ip4", dnsmessage.TypeAAAA: "ip6"}[q.Type]
	if network == "" || q.Class != dnsmessage.ClassINET || h.OpCode != 0 {
		return respond(h, &p, dnsmessage.RCodeNotImplemented, nil)
	}
	ctx, cancel := context.WithTimeout(ctx, dnsLastResort)
	defer cancel()
	name := q.Name.String()
	if strings.Count(name, ".") == 1 {
		// The library finds names like localhost in the hosts file only
		// without the final dot. Others keep it: no search list applies.
		name = strings.TrimSuffix(name, ".")
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
	var derr *net.DNSError
	switch {
	case errors.As(err, &derr) && derr.IsNotFound:
		// A name with addresses of the other family only does exist.
		if _, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name); err == nil {
			return respond(h, &p, dnsmessage.RCodeSuccess, nil)
		}
		return respond(h, &p, dnsmessage.RCodeNameError, nil)
	case err != nil:
		return respond(h, &p, dnsmessage.RCodeServerFailure, nil)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return respond(h, &p, dnsmessage.RCodeSuccess, addrs[:min(len(addrs), maxAnswers)])
}
