package netstack

import "github.com/tailor-os/tailor/libos"

// The numbers of Linux's socket interface that this package uses, from
// include/uapi/linux/{socket,in,in6,tcp,netlink,rtnetlink}.h and asm-generic.
const (
	afUnspec  = 0
	afInet    = 2
	afInet6   = 10
	afNetlink = 16

	sockStream = 1
	sockDgram  = 2
	sockRaw    = 3

	protoIP     = 0
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoIPv6   = 41
	protoICMPv6 = 58
	protoRaw    = 255

	solSocket = 1
	solIP     = protoIP
	solTCP    = protoTCP
	solUDP    = protoUDP
	solIPv6   = protoIPv6
	solRaw    = 255
	solICMPv6 = protoICMPv6
)

// Flags of send and recv.
const (
	msgOOB      = 0x1
	msgPeek     = 0x2
	msgCtrunc   = 0x8
	msgTrunc    = 0x20
	msgDontwait = 0x40
	msgWaitall  = 0x100
	msgErrqueue = 0x2000
	msgMore     = 0x8000
)

// Options of SOL_SOCKET.
const (
	soReuseaddr    = 2
	soType         = 3
	soError        = 4
	soDontroute    = 5
	soBroadcast    = 6
	soSndbuf       = 7
	soRcvbuf       = 8
	soKeepalive    = 9
	soOobinline    = 10
	soNoCheck      = 11
	soPriority     = 12
	soLinger       = 13
	soReuseport    = 15
	soRcvlowat     = 18
	soRcvtimeo     = 20
	soSndtimeo     = 21
	soBindtodevice = 25
	soTimestamp    = 29
	soAcceptconn   = 30
	soSndbufforce  = 32
	soRcvbufforce  = 33
	soMark         = 36
	soProtocol     = 38
	soDomain       = 39
	soRxqOvfl      = 40
	soIncomingCPU  = 49
	soCookie       = 57
)

// Options of IPPROTO_TCP.
const (
	tcpNodelay      = 1
	tcpMaxseg       = 2
	tcpCork         = 3
	tcpKeepidle     = 4
	tcpKeepintvl    = 5
	tcpKeepcnt      = 6
	tcpSyncnt       = 7
	tcpLinger2      = 8
	tcpDeferAccept  = 9
	tcpWindowClamp  = 10
	tcpInfo         = 11
	tcpQuickack     = 12
	tcpCongestion   = 13
	tcpUserTimeout  = 18
	tcpFastopen     = 23
	tcpNotsentLowat = 25
)

// Options of IPPROTO_IP.
const (
	ipTOS             = 1
	ipTTL             = 2
	ipHdrincl         = 3
	ipPktinfo         = 8
	ipMTUDiscover     = 10
	ipRecverr         = 11
	ipRecvttl         = 12
	ipRecvtos         = 13
	ipMTU             = 14
	ipFreebind        = 15
	ipRecvorigdstaddr = 20
	ipBindAddrNoPort  = 24
	ipMulticastIf     = 32
	ipMulticastTTL    = 33
	ipMulticastLoop   = 34
	ipAddMembership   = 35
	ipDropMembership  = 36
	mcastJoinGroup    = 42
	mcastLeaveGroup   = 45
	ipMulticastAll    = 49
)

// Options of IPPROTO_IPV6.
const (
	ipv6Checksum       = 7
	ipv6UnicastHops    = 16
	ipv6MulticastIf    = 17
	ipv6MulticastHops  = 18
	ipv6MulticastLoop  = 19
	ipv6AddMembership  = 20
	ipv6DropMembership = 21
	ipv6MTUDiscover    = 23
	ipv6MTU            = 24
	ipv6Recverr        = 25
	ipv6V6only         = 26
	ipv6Recvpktinfo    = 49
	ipv6Pktinfo        = 50
	ipv6Recvhoplimit   = 51
	ipv6Hoplimit       = 52
	ipv6Recvtclass     = 66
	ipv6Tclass         = 67

	icmpv6Filter = 1
)

// Error numbers that libos has no name for.
const (
	eNONET libos.Errno = 64
	ePROTO libos.Errno = 71
)
