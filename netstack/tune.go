package netstack

import (
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Buffer sizes in bytes. Both directions start small and are tuned up to the
// maximum by the stack while a connection proves to need it; idle connections
// hold no buffer memory at all.
const (
	tcpBufferMin     = 4 << 10
	tcpSendDefault   = 128 << 10
	tcpSendMax       = 2 << 20
	tcpReceiveInit   = 256 << 10
	tcpReceiveMax    = 2 << 20
	datagramDefault  = 208 << 10 // as Linux's rmem_default and wmem_default
	datagramMax      = 4 << 20
	timeWaitDuration = 10 * time.Second
)

// tune sets the stack's options.
func (s *Stack) tune() error {
	sack := tcpip.TCPSACKEnabled(true)
	// RACK (RFC 8985) walks the outstanding segments on each acknowledgement:
	// with 4 MB in flight that took a third of the CPU time, with tcpSendMax it
	// does not show, and after a loss it is two to four times as fast.
	recovery := tcpip.TCPRACKLossDetection
	nagle := tcpip.TCPDelayEnabled(true)
	// A connection in TIME-WAIT costs kilobytes here, not the 200 bytes it
	// costs in Linux, so it stays for less than Linux's minute.
	timeWait := tcpip.TCPTimeWaitTimeoutOption(timeWaitDuration)
	reuse := tcpip.TCPTimeWaitReuseGlobal
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: tcpBufferMin, Default: tcpSendDefault, Max: tcpSendMax}
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: tcpBufferMin, Default: tcpReceiveInit, Max: tcpReceiveMax}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &nagle, &timeWait, &reuse, &snd, &rcv} {
		if err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return stackError("set a TCP option", err)
		}
	}
	for _, o := range []any{
		tcpip.SendBufferSizeOption{Min: tcpBufferMin, Default: datagramDefault, Max: datagramMax},
		tcpip.ReceiveBufferSizeOption{Min: tcpBufferMin, Default: datagramDefault, Max: datagramMax},
	} {
		if err := s.ip.SetOption(o); err != nil {
			return stackError("set a buffer size", err)
		}
	}
	return nil
}
