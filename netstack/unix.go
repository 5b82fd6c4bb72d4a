package netstack

import "github.com/tailor-os/tailor/libos"

type unixNames struct{}

func (s *Stack) unixSocket(typ, protocol int) (libos.Socket, libos.Errno) {
	return nil, libos.EAFNOSUPPORT
}
