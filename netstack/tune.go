package netstack

import (
	"time"

	"github.com/tailor-os/tailor/libos"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// Buffer sizes in bytes. TCP's send buffer starts small and is tuned up to the
// maximum by the stack while a connection proves to need it. The receive buffer
// has its final size from the start: when the stack enlarges one whose window
// is closed, it may fail to tell the peer, which finds out by its timer, 200 ms
// later. It is a limit; idle connections hold no buffer memory at all.
const (
	bufferMin       = 4 << 10
	tcpSendFirst    = 128 << 10
	tcpLeast        = 256 << 10 // of what tcpLimit returns
	tcpMax          = 2 << 20
	datagramDefault = 208 << 10 // as Linux's rmem_default and wmem_default
	datagramMax     = 4 << 20

	// tcpShare is the part of a guest's memory, one in so many, that one
	// direction of a connection may fill, between tcpLeast and tcpMax: as
	// Linux does with tcp_mem, for 50 busy connections must fit into 32 MiB.
	tcpShare = 128

	timeWaitDuration = 10 * time.Second
)

// tcpLimit returns the largest TCP buffer in bytes for a guest of so much
// memory; 0 is unknown.
func tcpLimit(memory uint64) int {
	if memory == 0 {
		return tcpMax
	}
	return int(min(max(memory/tcpShare, tcpLeast), tcpMax))
}

// tune sets the stack's options.
func (s *Stack) tune() error {
	sack := tcpip.TCPSACKEnabled(true)
	// RACK (RFC 8985) walks the outstanding segments on each acknowledgement:
	// with 4 MB in flight that took a third of the CPU time, with tcpMax it
	// does not show, and after a loss it is two to four times as fast.
	recovery := tcpip.TCPRACKLossDetection
	nagle := tcpip.TCPDelayEnabled(true)
	// A connection in TIME-WAIT costs kilobytes here, not the 200 bytes it
	// costs in Linux, so it stays for less than Linux's minute.
	timeWait := tcpip.TCPTimeWaitTimeoutOption(timeWaitDuration)
	reuse := tcpip.TCPTimeWaitReuseGlobal
	total, _ := libos.Hooks.Memory()
	s.tcpMax = tcpLimit(total)
	snd := tcpip.TCPSendBufferSizeRangeOption{Min: bufferMin, Default: tcpSendFirst, Max: s.tcpMax}
	rcv := tcpip.TCPReceiveBufferSizeRangeOption{Min: bufferMin, Default: s.tcpMax, Max: s.tcpMax}
	for _, o := range []tcpip.SettableTransportProtocolOption{&sack, &recovery, &nagle, &timeWait, &reuse, &snd, &rcv} {
		if err := s.ip.SetTransportProtocolOption(tcp.ProtocolNumber, o); err != nil {
			return stackError("set a TCP option", err)
		}
	}
	for _, o := range []any{
		tcpip.SendBufferSizeOption{Min: bufferMin, Default: datagramDefault, Max: datagramMax},
		tcpip.ReceiveBufferSizeOption{Min: bufferMin, Default: datagramDefault, Max: datagramMax},
	} {
		if err := s.ip.SetOption(o); err != nil {
			return stackError("set a buffer size", err)
		}
	}
	return nil
}
