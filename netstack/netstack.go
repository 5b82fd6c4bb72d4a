// Package netstack puts gVisor's TCP/IP under Linux's socket system calls, so
// that Go's own net package works on it unchanged: TCP, UDP, ICMP echo and raw
// sockets over IPv4 and IPv6, and enough of netlink for net.Interfaces.
//
// It registers itself with package libos, which decodes the system calls. The
// stack is made at the first socket or by [Start], whichever comes first, with
// the loopback interface; Start adds the network cards.
//
// Nothing here polls: readiness travels as edges from the stack's wait queues
// to [libos.Poller]'s SetNotify, and an idle stack has no timer running.
package netstack

import (
	"crypto/rand"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/loopback"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/raw"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
)

// Interface indexes and names, as net.Interfaces shows them.
const (
	loopbackNIC  tcpip.NICID = 1
	ethernetNIC  tcpip.NICID = 2 // eth0; eth1 is the next
	loopbackName             = "lo"
)

func init() {
	libos.RegisterNetwork(registered{})
	libos.AddText("/proc/net/igmp", func() []byte { return ofDefault((*Stack).igmp) })
	libos.AddText("/proc/net/igmp6", func() []byte { return ofDefault((*Stack).igmp6) })
}

// registered is the [libos.Network] of the image: the default stack, made late.
type registered struct{}

func (registered) Socket(domain, typ, protocol int) (libos.Socket, libos.Errno) {
	s, err := Default()
	if err != nil {
		return nil, libos.ENOBUFS
	}
	return s.Socket(domain, typ, protocol)
}

// Default returns the stack behind the image's socket system calls. It is safe
// for concurrent use.
var Default = sync.OnceValues(New)

// Start attaches network cards to the default stack and configures them from
// the boot parameters; see [Stack.Start].
func Start(dev Device, params string, more ...Device) error {
	s, err := Default()
	if err != nil {
		return err
	}
	return s.Start(dev, params, more...)
}

// A Stack is one TCP/IP stack with its own loopback interface. It implements
// [libos.Network]; its methods may be called concurrently.
type Stack struct {
	ip      *stack.Stack
	portIDs atomic.Uint32
	tcpMax  int         // bytes of one direction's buffer, at the most
	down    atomic.Bool // all the devices broke
	orphans orphans
	joined  joined
	waiting atomic.Pointer[waiting] // for addresses; nil with static ones
	// routers is told what IPv6 routers advertise; nil in images that do not find
	// their address. It is a *routers, which those others must not link.
	routers ipv6.NDPDispatcher
	learn   sync.Mutex // held while names are put together

	mu     sync.Mutex
	cards  []*card // in order; what is missing is left out
	config Config
}

// New makes a stack that has the loopback interface and nothing else.
func New() (*Stack, error) {
	s := &Stack{}
	v6 := ipv6Options()
	if newRouters != nil {
		s.routers = newRouters(&v6)
		v6.NDPDisp = s.routers
	}
	s.ip = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocolWithOptions(ipv4Options()), ipv6.NewProtocolWithOptions(v6), arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocolCUBIC, udp.NewProtocol, icmp.NewProtocol4, icmp.NewProtocol6},
		RawFactory:         raw.EndpointFactory{},
		HandleLocal:        true,
		// gVisor's own source buffers 4 KiB of entropy at once; boot needs 60 bytes.
		SecureRNG: rand.Reader,
	})
	if err := s.tune(); err != nil {
		return nil, err
	}
	return s, s.addLoopback()
}

// ipv4Options lets multicast groups be announced (IGMP, RFC 3376).
func ipv4Options() ipv4.Options {
	return ipv4.Options{IGMP: ipv4.IGMPOptions{Enabled: true}}
}

// ipv6Options leaves out what would make a starting guest talk and wait: where
// addresses are static, there is no router solicitation, and they are used at
// once, without duplicate address detection (RFC 4862 section 5.4 lets that
// be disabled).
func ipv6Options() ipv6.Options {
	return ipv6.Options{
		NDPConfigs: ipv6.NDPConfigurations{HandleRAs: ipv6.HandlingRAsDisabled},
		MLD:        ipv6.MLDOptions{Enabled: true},
	}
}

// addLoopback brings up lo with 127.0.0.1/8 and ::1/128.
func (s *Stack) addLoopback() error {
	opts := stack.NICOptions{Name: loopbackName}
	if err := s.ip.CreateNICWithOptions(loopbackNIC, loopback.New(), opts); err != nil {
		return stackError("create the loopback interface", err)
	}
	v4 := tcpip.AddressWithPrefix{Address: header.IPv4Loopback, PrefixLen: 8}
	if err := s.addAddress(loopbackNIC, ipv4.ProtocolNumber, v4); err != nil {
		return err
	}
	v6 := tcpip.AddressWithPrefix{Address: header.IPv6Loopback, PrefixLen: 128}
	if err := s.addAddress(loopbackNIC, ipv6.ProtocolNumber, v6); err != nil {
		return err
	}
	s.staticRoute(loopbackNIC, v4.Subnet(), tcpip.Address{})
	s.staticRoute(loopbackNIC, v6.Subnet(), tcpip.Address{})
	return nil
}

func (s *Stack) addAddress(nic tcpip.NICID, proto tcpip.NetworkProtocolNumber, a tcpip.AddressWithPrefix) error {
	pa := tcpip.ProtocolAddress{Protocol: proto, AddressWithPrefix: a}
	if err := s.ip.AddProtocolAddress(nic, pa, stack.AddressProperties{}); err != nil {
		return stackError("give "+a.String()+" to an interface", err)
	}
	return nil
}

// stackError turns an error of the stack into a Go one.
func stackError(what string, err tcpip.Error) error {
	return errors.New("netstack: cannot " + what + ": " + err.String())
}
