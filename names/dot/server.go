package dot

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// port is that of DNS over TLS (RFC 7858 section 3.1).
const port = 853

// A Server is one that is asked.
type Server struct {
	Address string // HOST:PORT, the host an address
	Name    string // that its certificate must have, "" for its address
}

// String returns the server as [ParseServer] reads it, without the usual port.
func (s Server) String() string {
	text := strings.TrimSuffix(s.Address, ":"+strconv.Itoa(port))
	if s.Name != "" {
		text += "#" + s.Name
	}
	return text
}

// ParseServer reads ADDRESS[:PORT][#NAME]. An IPv6 address with a port is in brackets.
func ParseServer(v string) (s Server, err error) {
	text, name, named := strings.Cut(v, "#")
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		at = netip.AddrPortFrom(addr(text), port)
	}
	a := at.Addr()
	if !a.IsValid() || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || at.Port() == 0 || named && !isName(name) {
		return s, errors.New("want ADDRESS[:PORT][#NAME], such as 192.0.2.53#dns.example.com or [2001:db8::53]:853")
	}
	return Server{Address: at.String(), Name: strings.TrimSuffix(name, ".")}, nil
}

// addr reads an address, in brackets or not.
func addr(text string) netip.Addr {
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(text); ok && err == nil && a.Is6() {
			return a
		}
		return netip.Addr{}
	}
	a, _ := netip.ParseAddr(text) // invalid is enough
	return a
}

// isName reports whether a certificate may have the name: letters, digits, hyphens and
// dots (RFC 5890 section 2.3.1), with at least a dot's worth of domain.
func isName(name string) bool {
	if len(name) == 0 || len(name) > 253 || net.ParseIP(name) != nil {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}

// maxServers bounds the servers, and the pins.
const maxServers = 8

// ParseConfig returns what the values of boot parameters say: servers as [ParseServer]
// reads them, one at least, and pins. They say which is wrong.
func ParseConfig(servers, pins []string) (c Config, err error) {
	if len(servers) > maxServers || len(pins) > maxServers {
		return c, errors.New("dns-tls, dns-pin: more than " + strconv.Itoa(maxServers) + " of a kind")
	}
	for _, v := range servers {
		s, err := ParseServer(v)
		if err != nil {
			return c, errors.New("dns-tls=" + v + ": " + err.Error())
		}
		c.Servers = append(c.Servers, s)
	}
	for _, v := range pins {
		p, err := ParsePin(v)
		if err != nil {
			return c, errors.New("dns-pin=" + v + ": " + err.Error())
		}
		c.Pins = append(c.Pins, p)
	}
	return c, nil
}

// A Pin is the SHA-256 of a certificate's public key, with its algorithm (RFC 7858
// section 4.2, RFC 7469 section 2.4).
type Pin [sha256.Size]byte

// ParsePin reads a pin in base64.
func ParsePin(v string) (p Pin, err error) {
	b, err := base64.StdEncoding.DecodeString(v)
	if err != nil || len(b) != len(p) {
		return p, errors.New("want the SHA-256 of a public key in base64: 44 characters")
	}
	return Pin(b), nil
}

func (p Pin) String() string { return base64.StdEncoding.EncodeToString(p[:]) }
