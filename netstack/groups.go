package netstack

import (
	"strconv"
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/tailor-os/tailor/params"
)

// The multicast groups that interfaces listen to, as /proc/net/igmp and
// /proc/net/igmp6 tell them (net/ipv4/igmp.c and net/ipv6/mcast.c of Linux).
// Package net reads these files for Interface.MulticastAddrs.

// joined remembers which groups sockets have joined: the stack tells whether an
// interface is in a group, but has no list.
type joined struct {
	mu    sync.Mutex
	addrs []tcpip.Address
}

// noteGroup remembers a group that a socket has joined, and forgets those that
// all sockets have left, so that there are no more than sockets have joined now.
func (s *Stack) noteGroup(group tcpip.Address) {
	s.joined.mu.Lock()
	defer s.joined.mu.Unlock()
	kept := s.joined.addrs[:0]
	for _, a := range s.joined.addrs {
		if a != group && s.listensAnywhere(a) {
			kept = append(kept, a)
		}
	}
	s.joined.addrs = append(kept, group)
}

func (s *Stack) listensAnywhere(group tcpip.Address) bool {
	for nic := loopbackNIC; nic < ethernetNIC+params.MaxCards; nic++ {
		if s.listens(nic, group) {
			return true
		}
	}
	return false
}

// listens reports whether an interface is there and in a group.
func (s *Stack) listens(nic tcpip.NICID, group tcpip.Address) bool {
	in, err := s.ip.IsInGroup(nic, group)
	return err == nil && in
}

// groups returns the groups of an interface whose addresses are n bytes long:
// those of all hosts, of its own addresses (RFC 4291 section 2.7.1), and those
// that sockets have joined.
func (s *Stack) groups(i *nic, n int) (list []tcpip.Address) {
	add := func(a tcpip.Address) {
		if a.Len() != n || !s.listens(i.id, a) {
			return
		}
		for _, b := range list {
			if a == b {
				return
			}
		}
		list = append(list, a)
	}
	add(header.IPv4AllSystems)
	add(header.IPv6AllNodesMulticastAddress)
	for _, pa := range i.ProtocolAddresses {
		if a := pa.AddressWithPrefix.Address; a.Len() == header.IPv6AddressSize {
			add(header.SolicitedNodeAddr(a))
		}
	}
	s.joined.mu.Lock()
	defer s.joined.mu.Unlock()
	for _, a := range s.joined.addrs {
		add(a)
	}
	return list
}

// igmp6 returns /proc/net/igmp6: index, interface, group, users, flags, timer.
func (s *Stack) igmp6() (b []byte) {
	for _, i := range s.interfaces() {
		for _, a := range s.groups(&i, header.IPv6AddressSize) {
			b = strconv.AppendInt(b, int64(i.id), 10)
			b = append(b, "\t"+i.Name+"\t"...)
			for _, c := range a.AsSlice() { // as Linux has it, without colons
				b = appendHex(b, c)
			}
			b = append(b, "     1 00000004 0\n"...) // MAF_LOADED
		}
	}
	return b
}

// igmp returns /proc/net/igmp: a line for each interface, and below it one for
// each group, whose address is a number in the byte order of the processor.
func (s *Stack) igmp() []byte {
	b := []byte("Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n")
	for _, i := range s.interfaces() {
		list := s.groups(&i, header.IPv4AddressSize)
		if len(list) == 0 {
			continue
		}
		b = strconv.AppendInt(b, int64(i.id), 10)
		b = append(b, "\t"+i.Name+" : "...)
		b = strconv.AppendInt(b, int64(len(list)), 10)
		b = append(b, "      V3\n"...)
		for _, a := range list {
			b = append(b, "\t\t\t\t"...)
			ip := a.As4()
			for n := range ip {
				b = appendHex(b, ip[len(ip)-1-n])
			}
			b = append(b, "     1 0:00000000\t\t0\n"...)
		}
	}
	return b
}

func appendHex(b []byte, c byte) []byte {
	const digits = "0123456789ABCDEF"
	return append(b, digits[c>>4], digits[c&15])
}

// ofDefault is what f returns of the default stack, if there can be one.
func ofDefault(f func(*Stack) []byte) []byte {
	s, err := Default()
	if err != nil {
		return nil
	}
	return f(s)
}
