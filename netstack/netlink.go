package netstack

import "github.com/tailor-os/tailor/libos"

func (s *Stack) netlinkSocket(typ, protocol int) (libos.Socket, libos.Errno) {
	return nil, libos.EAFNOSUPPORT
}
