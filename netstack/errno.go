package netstack

import (
	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// errno returns what Linux answers where the stack says err. The end of a
// stream (ErrClosedForReceive) is no error; callers that can meet it ask first.
func errno(err tcpip.Error) libos.Errno {
	if err == nil {
		return 0
	}
	if e := connectionErrno(err); e != 0 {
		return e
	}
	if e := addressErrno(err); e != 0 {
		return e
	}
	return argumentErrno(err)
}

// connectionErrno maps the errors of established and starting connections.
func connectionErrno(err tcpip.Error) libos.Errno {
	switch err.(type) {
	case *tcpip.ErrWouldBlock:
		return libos.EAGAIN
	case *tcpip.ErrConnectStarted:
		return libos.EINPROGRESS
	case *tcpip.ErrAlreadyConnecting:
		return libos.EALREADY
	case *tcpip.ErrAlreadyConnected:
		return libos.EISCONN
	case *tcpip.ErrConnectionRefused:
		return libos.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		return libos.ECONNRESET
	case *tcpip.ErrConnectionAborted:
		return libos.ECONNABORTED
	case *tcpip.ErrTimeout:
		return libos.ETIMEDOUT
	case *tcpip.ErrNotConnected:
		return libos.ENOTCONN
	case *tcpip.ErrClosedForSend, *tcpip.ErrAborted:
		return libos.EPIPE
	}
	return 0
}

// addressErrno maps the errors of addresses and routes.
func addressErrno(err tcpip.Error) libos.Errno {
	switch err.(type) {
	case *tcpip.ErrNetworkUnreachable:
		return libos.ENETUNREACH
	case *tcpip.ErrHostUnreachable:
		return libos.EHOSTUNREACH
	case *tcpip.ErrHostDown:
		return libos.EHOSTDOWN
	case *tcpip.ErrNoNet:
		return eNONET
	case *tcpip.ErrBadLocalAddress, *tcpip.ErrBadAddress:
		return libos.EADDRNOTAVAIL
	case *tcpip.ErrPortInUse:
		return libos.EADDRINUSE
	case *tcpip.ErrNoPortAvailable:
		return libos.EAGAIN
	case *tcpip.ErrAddressFamilyNotSupported:
		return libos.EAFNOSUPPORT
	case *tcpip.ErrDestinationRequired:
		return libos.EDESTADDRREQ
	case *tcpip.ErrUnknownDevice, *tcpip.ErrUnknownNICID, *tcpip.ErrInvalidNICID:
		return libos.ENODEV
	case *tcpip.ErrDuplicateAddress, *tcpip.ErrDuplicateNICID:
		return libos.EEXIST
	}
	return 0
}

// argumentErrno maps the rest; what is unknown is EINVAL.
func argumentErrno(err tcpip.Error) libos.Errno {
	switch err.(type) {
	case *tcpip.ErrMessageTooLong:
		return libos.EMSGSIZE
	case *tcpip.ErrNoBufferSpace:
		return libos.ENOBUFS
	case *tcpip.ErrBroadcastDisabled:
		return libos.EACCES
	case *tcpip.ErrNotPermitted:
		return libos.EPERM
	case *tcpip.ErrNotSupported:
		return libos.EOPNOTSUPP
	case *tcpip.ErrUnknownProtocolOption:
		return libos.ENOPROTOOPT
	case *tcpip.ErrQueueSizeNotSupported:
		return libos.ENOTTY
	case *tcpip.ErrNoSuchFile:
		return libos.ENOENT
	case *tcpip.ErrBadBuffer:
		return libos.EFAULT
	case *tcpip.ErrEndpointBusy:
		return libos.EBUSY
	}
	return libos.EINVAL
}
