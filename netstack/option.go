package netstack

import (
	"bytes"
	"encoding/binary"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// An intOption is a socket option whose value is an int (or, for IPPROTO_IP
// and IPPROTO_IPV6, a byte: Linux takes both). A missing get or set answers
// ENOPROTOOPT.
type intOption struct {
	level, name int
	get         func(*socket) (int, libos.Errno)
	set         func(*socket, int) libos.Errno
}

// A rawOption is a socket option with a value of another shape.
type rawOption struct {
	level, name int
	get         func(*socket, []byte) (int, libos.Errno)
	set         func(*socket, []byte) libos.Errno
}

// intTables are searched in order; all are built by the linker, not at start.
func findInt(level, name int) *intOption {
	for _, table := range [...][]intOption{socketOptions[:], tcpOptions[:], ipOptions[:], ipv6Options6[:]} {
		if len(table) == 0 || table[0].level != level {
			continue
		}
		for i := range table {
			if table[i].name == name {
				return &table[i]
			}
		}
	}
	return nil
}

func findRaw(level, name int) *rawOption {
	for i := range rawOptions {
		if o := &rawOptions[i]; o.level == level && o.name == name {
			return o
		}
	}
	return nil
}

// allowed reports whether a level's options exist on this kind of socket.
func (s *socket) allowed(level int) bool {
	switch level {
	case solSocket, solIP:
		return true
	case solTCP:
		return s.typ == sockStream
	case solIPv6:
		return s.family == afInet6
	case solICMPv6:
		return s.proto == protoICMPv6
	}
	return false
}

// GetOption implements [libos.Socket].
func (s *socket) GetOption(level, name int, value []byte) (int, libos.Errno) {
	if !s.allowed(level) {
		return 0, s.unknownLevel()
	}
	if o := findRaw(level, name); o != nil && o.get != nil {
		return o.get(s, value)
	}
	o := findInt(level, name)
	if o == nil || o.get == nil {
		return 0, libos.ENOPROTOOPT
	}
	v, e := o.get(s)
	if e != 0 {
		return 0, e
	}
	return putInt(value, v), 0
}

// SetOption implements [libos.Socket].
func (s *socket) SetOption(level, name int, value []byte) libos.Errno {
	if !s.allowed(level) {
		return libos.ENOPROTOOPT
	}
	value = bytes.Clone(value) // it may lie on the caller's stack, see parts.go
	e := s.setOption(level, name, value)
	if e == 0 && s.typ == sockStream {
		s.remember(level, name, value)
	}
	return e
}

func (s *socket) setOption(level, name int, value []byte) libos.Errno {
	if o := findRaw(level, name); o != nil && o.set != nil {
		return o.set(s, value)
	}
	o := findInt(level, name)
	if o == nil || o.set == nil {
		return libos.ENOPROTOOPT
	}
	v, e := getInt(level, value)
	if e != 0 {
		return e
	}
	return o.set(s, v)
}

// An optionCall is a call of SetOption.
type optionCall struct {
	level, name int
	value       []byte
}

// remember notes an option for the connections that will be accepted: Linux
// copies the whole socket. What concerns binding alone is left out.
func (s *socket) remember(level, name int, value []byte) {
	switch st := tcp.EndpointState(s.ep.State()); {
	case st != tcp.StateInitial && st != tcp.StateBound && st != tcp.StateListen:
		return
	case level == solSocket && (name == soReuseaddr || name == soReuseport), level == solIPv6 && name == ipv6V6only:
		return
	}
	s.optionMu.Lock()
	defer s.optionMu.Unlock()
	for i := range s.inherited {
		if c := &s.inherited[i]; c.level == level && c.name == name {
			c.value = value
			return
		}
	}
	s.inherited = append(s.inherited, optionCall{level, name, value})
}

// inherit gives a new connection the options of its listener.
func (s *socket) inherit(l *socket) {
	l.optionMu.Lock()
	defer l.optionMu.Unlock()
	for _, c := range l.inherited {
		_ = s.setOption(c.level, c.name, c.value)
	}
}

// unknownLevel is what getsockopt says of a level that the protocol does not
// have; setsockopt says ENOPROTOOPT.
func (s *socket) unknownLevel() libos.Errno {
	if s.family == afInet {
		return libos.EOPNOTSUPP
	}
	return libos.ENOPROTOOPT
}

// putInt stores an int as getsockopt does, cut to the caller's buffer.
func putInt(value []byte, v int) int {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(v))
	return copy(value, b[:])
}

// getInt reads the int of setsockopt.
func getInt(level int, value []byte) (int, libos.Errno) {
	switch {
	case len(value) >= 4:
		return int(int32(binary.NativeEndian.Uint32(value))), 0
	case len(value) >= 1 && level == solIP:
		return int(value[0]), 0
	}
	return 0, libos.EINVAL
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// epInt and setEPInt reach the options that the endpoint keeps as ints.
func (s *socket) epInt(o tcpip.SockOptInt) (int, libos.Errno) {
	v, err := s.ep.GetSockOptInt(o)
	return v, s.errno(err)
}

func (s *socket) setEPInt(o tcpip.SockOptInt, v int) libos.Errno {
	return s.errno(s.ep.SetSockOptInt(o, v))
}

// accept ignores a value that means nothing here but is harmless to set.
func accept(*socket, int) libos.Errno { return 0 }

// zero answers that something is off.
func zero(*socket) (int, libos.Errno) { return 0, 0 }
