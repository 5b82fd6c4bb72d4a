package libos

// Options of SOL_SOCKET (include/uapi/asm-generic/socket.h).
const (
	solSocket    = 1
	soDebug      = 1
	soReuseaddr  = 2
	soType       = 3
	soError      = 4
	soDontroute  = 5
	soBroadcast  = 6
	soSndbuf     = 7
	soRcvbuf     = 8
	soKeepalive  = 9
	soOobinline  = 10
	soReuseport  = 15
	soPasscred   = 16
	soPeercred   = 17
	soRcvtimeo   = 20
	soSndtimeo   = 21
	soAcceptconn = 30
	soProtocol   = 38
	soDomain     = 39
)

// remembered are the options that a socket of AF_UNIX only remembers.
const remembered = 1<<soDebug | 1<<soReuseaddr | 1<<soDontroute | 1<<soBroadcast |
	1<<soKeepalive | 1<<soOobinline | 1<<soReuseport

// GetOption implements Socket.
func (s *unixSocket) GetOption(level, name int, value []byte) (int, Errno) {
	if level != solSocket {
		return 0, EOPNOTSUPP
	}
	unixNet.mu.Lock()
	defer unlockUnix()
	switch name {
	case soPeercred:
		return copy(value, bytesOf(&s.peerCred)), 0
	case soRcvtimeo, soSndtimeo:
		t := microTime(*s.timeout(name))
		return copy(value, bytesOf(&t)), 0
	}
	v, errno := s.intOption(name)
	if errno != 0 {
		return 0, errno
	}
	return copy(value, bytesOf(&v)), 0
}

func (s *unixSocket) intOption(name int) (int32, Errno) {
	switch name {
	case soType:
		return int32(s.typ), 0
	case soDomain:
		return afUnix, 0
	case soProtocol:
		return 0, 0
	case soError:
		return int32(s.takeError()), 0
	case soAcceptconn:
		return bit(s.state == unixListening), 0
	case soPasscred:
		return bit(s.passCred), 0
	case soSndbuf:
		return int32(s.sendBuffer), 0
	case soRcvbuf:
		return int32(s.recvBuffer), 0
	}
	if uint(name) < 64 && remembered>>name&1 != 0 {
		return int32(s.flags >> name & 1), 0
	}
	return 0, ENOPROTOOPT
}

func bit(on bool) int32 {
	if on {
		return 1
	}
	return 0
}

// timeout returns where a time limit is kept.
func (s *unixSocket) timeout(name int) *int64 {
	if name == soRcvtimeo {
		return &s.recvTime
	}
	return &s.sendTime
}

// SetOption implements Socket.
func (s *unixSocket) SetOption(level, name int, value []byte) Errno {
	if level != solSocket {
		return EOPNOTSUPP
	}
	if len(value) < 4 {
		return EINVAL
	}
	unixNet.mu.Lock()
	defer unlockUnix()
	v := int32(getUint32(value))
	switch name {
	case soPasscred:
		s.passCred = v != 0
	case soSndbuf:
		s.sendBuffer = max(2*int(min(uint32(v), defaultSendBuffer)), minSendBuffer)
		s.tell(ReadyOut)
	case soRcvbuf:
		s.recvBuffer = max(2*int(min(uint32(v), defaultSendBuffer)), 2304)
	case soRcvtimeo, soSndtimeo:
		return s.setTimeout(name, value)
	case 13: // SO_LINGER: there is nothing to linger for
	case soType, soDomain, soProtocol, soError, soAcceptconn:
		return ENOPROTOOPT
	default:
		return s.remember(name, v)
	}
	return 0
}

func (s *unixSocket) remember(name int, v int32) Errno {
	if uint(name) >= 64 || remembered>>name&1 == 0 {
		return ENOPROTOOPT
	}
	s.flags = s.flags&^(1<<name) | uint64(bit(v != 0))<<name
	return 0
}

// edom is EDOM, which setsockopt alone returns.
const edom Errno = 33

// setTimeout sets a limit given as struct timeval.
func (s *unixSocket) setTimeout(name int, value []byte) Errno {
	if len(value) < 16 {
		return EINVAL
	}
	sec, usec := int64(getUint64(value)), int64(getUint64(value[8:]))
	switch {
	case usec < 0 || usec >= 1e6:
		return edom
	case sec < 0 || sec > maxInt64/1_000_000_000-1:
		sec, usec = 0, 0 // for ever
	}
	*s.timeout(name) = sec*1e9 + usec*1e3
	return 0
}
