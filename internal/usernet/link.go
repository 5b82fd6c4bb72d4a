package usernet

import (
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// headSize is the size of the first of the two buffers a frame is read
	// into: all headers and, at the usual MTU, the whole frame fit.
	headSize = 2048
	bodySize = 64 << 10
	// copyBelow: a rest shorter than this is copied into a buffer of its
	// size, and the 64 KiB one used again.
	copyBelow = 16 << 10
	// maxQueued bounds the bytes waiting for a guest that does not read; what
	// is over it is dropped, as a network does.
	maxQueued = 4 << 20
	// gsoMaxSize bounds an IP packet for the guest: its length has 16 bits.
	gsoMaxSize = maxIPPacket
)

// link is the stack's end of the wire: a stack.LinkEndpoint on a socket whose
// messages are a virtio_net_hdr_v1 and an Ethernet frame, or the frame alone.
//
// It declares no transmit checksum offload: with it, the stack leaves out
// checksums without a trace in the packet (SYN-ACK, RST, UDP). Segments of
// established TCP connections still go out with a partial one, which comes
// with host GSO.
type link struct {
	file *os.File
	raw  syscall.RawConn
	mtu  uint32
	mac  tcpip.LinkAddress
	hdr  int // bytes before each frame: vnetHdrSize or 0
	gso  stack.SupportedGSO
	ping func(frame []byte) // called by the reader; the frame is its own copy

	mu         sync.RWMutex
	dispatcher stack.NetworkDispatcher

	// alive is closed at the first valid frame from the guest.
	alive chan struct{}
	seen  bool // reader only

	wg sync.WaitGroup // reader and writer

	txMu   sync.Mutex // held over the system call, to keep packets in order
	queue  []*stack.PacketBuffer
	queued int // bytes in queue
	closed bool
	wake   chan struct{} // tells the writer that queue is not empty
}

var (
	_ stack.LinkEndpoint = (*link)(nil)
	_ stack.GSOEndpoint  = (*link)(nil)
)

// newLink takes over file, a non-blocking message socket. If bare, its messages
// are frames alone, which leaves nowhere to say that something is offloaded.
func newLink(file *os.File, mtu uint32, mac net.HardwareAddr, bare bool) (*link, error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	l := &link{file: file, raw: raw, mtu: mtu, mac: tcpip.LinkAddress(mac),
		alive: make(chan struct{}), wake: make(chan struct{}, 1)}
	if !bare {
		l.hdr, l.gso = vnetHdrSize, stack.HostGSOSupported
	}
	return l, nil
}

// Attach starts the reader and the writer.
func (l *link) Attach(d stack.NetworkDispatcher) {
	l.mu.Lock()
	start := l.dispatcher == nil && d != nil
	l.dispatcher = d
	l.mu.Unlock()
	if start {
		l.wg.Add(2)
		go l.readLoop()
		go l.writeLoop()
	}
}

func (l *link) IsAttached() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.dispatcher != nil
}

// Close ends both loops. It may be called more than once.
func (l *link) Close() {
	l.txMu.Lock()
	first := !l.closed
	l.closed = true
	queue := l.queue
	l.queue, l.queued = nil, 0
	if first {
		close(l.wake)
	}
	l.txMu.Unlock()
	for _, pkt := range queue {
		pkt.DecRef()
	}
	if first {
		// It waits for the reader, which may be waiting for txMu.
		l.file.Close()
	}
}

// Wait waits for the loops to end.
func (l *link) Wait() { l.wg.Wait() }

func (l *link) MTU() uint32                             { return l.mtu }
func (l *link) SetMTU(uint32)                           {}
func (l *link) MaxHeaderLength() uint16                 { return ethHdrSize }
func (l *link) LinkAddress() tcpip.LinkAddress          { return l.mac }
func (l *link) SetLinkAddress(tcpip.LinkAddress)        {}
func (l *link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (l *link) SetOnCloseAction(func())                 {}
func (l *link) GSOMaxSize() uint32                      { return gsoMaxSize }
func (l *link) SupportedGSO() stack.SupportedGSO        { return l.gso }
func (l *link) Capabilities() stack.LinkEndpointCapabilities {
	// The wire is memory, so that received checksums need no check.
	return stack.CapabilityRXChecksumOffload | stack.CapabilityResolutionRequired
}

// AddHeader puts the Ethernet header before an outgoing packet.
func (l *link) AddHeader(pkt *stack.PacketBuffer) {
	eth := header.Ethernet(pkt.LinkHeader().Push(ethHdrSize))
	eth.Encode(&header.EthernetFields{
		SrcAddr: l.mac, // the promiscuous side has one address, whatever the route says
		DstAddr: pkt.EgressRoute.RemoteLinkAddress,
		Type:    pkt.NetworkProtocolNumber,
	})
}

// ParseHeader takes the Ethernet header off an incoming packet.
func (l *link) ParseHeader(pkt *stack.PacketBuffer) bool {
	_, ok := pkt.LinkHeader().Consume(ethHdrSize)
	return ok
}

// rxBuffers are what the next frame is read into.
type rxBuffers struct {
	hdr        [vnetHdrSize]byte
	head, body *buffer.View
	iov        [3][]byte
}

// fill returns the buffers, of which the first takes hdr bytes. The header stays
// zero if that is none.
func (b *rxBuffers) fill(hdr int) [][]byte {
	if b.head == nil {
		b.head = buffer.NewViewSize(headSize)
	}
	if b.body == nil {
		b.body = buffer.NewViewSize(bodySize)
	}
	b.iov = [3][]byte{b.hdr[:hdr], b.head.AsSlice(), b.body.AsSlice()}
	return b.iov[:]
}

// take returns the frame of size bytes as a buffer of the stack's.
func (b *rxBuffers) take(size int) buffer.Buffer {
	b.head.CapLength(min(size, headSize))
	buf := buffer.MakeWithView(b.head)
	b.head = nil
	switch rest := size - headSize; {
	case rest <= 0:
	case rest < copyBelow:
		buf.Append(buffer.NewViewWithData(b.body.AsSlice()[:rest]))
	default:
		b.body.CapLength(rest)
		buf.Append(b.body)
		b.body = nil
	}
	return buf
}

func (b *rxBuffers) release() {
	for _, v := range []*buffer.View{b.head, b.body} {
		if v != nil {
			v.Release()
		}
	}
}

// readLoop hands the guest's frames to the stack until the link is closed or
// the guest's end is.
func (l *link) readLoop() {
	defer l.wg.Done()
	var b rxBuffers
	defer b.release()
	l.raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err := unix.Readv(int(fd), b.fill(l.hdr))
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				return false
			case err != nil || n == 0 && l.hdr > 0: // bare frames have no end, and may be empty
				return true
			default:
				l.receive(&b, n)
			}
		}
	})
}

// receive handles a message of n bytes.
func (l *link) receive(b *rxBuffers, n int) {
	size := n - l.hdr
	if size < ethHdrSize {
		return
	}
	head := b.head.AsSlice()[:min(size, headSize)]
	switch judge(parseVnetHdr(b.hdr[:]), head, size, int(l.mtu)) {
	case drop:
		return
	case toPing:
		if size <= headSize && l.ping != nil {
			l.ping(append([]byte(nil), head...))
		}
	case toStack:
		l.deliver(b, size)
	}
	if !l.seen {
		l.seen = true
		close(l.alive)
	}
}

func (l *link) deliver(b *rxBuffers, size int) {
	l.mu.RLock()
	d := l.dispatcher
	l.mu.RUnlock()
	if d == nil {
		return
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b.take(size)})
	defer pkt.DecRef()
	if !l.ParseHeader(pkt) {
		return
	}
	eth := header.Ethernet(pkt.LinkHeader().Slice())
	pkt.PktType = tcpip.PacketHost
	switch dst := eth.DestinationAddress(); {
	case dst == header.EthernetBroadcastAddress:
		pkt.PktType = tcpip.PacketBroadcast
	case header.IsMulticastEthernetAddress(dst):
		pkt.PktType = tcpip.PacketMulticast
	}
	d.DeliverNetworkPacket(eth.Type(), pkt)
}

// WritePackets sends packets to the guest. It never blocks: the stack calls it
// with locks held, also from the reader, and a guest that waits for its own
// packets to be taken may not be reading meanwhile.
func (l *link) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	l.txMu.Lock()
	defer l.txMu.Unlock()
	for i, pkt := range pkts.AsSlice() {
		if err := l.writeLocked(pkt); err != nil {
			return i, err
		}
	}
	return pkts.Len(), nil
}

func (l *link) writeLocked(pkt *stack.PacketBuffer) tcpip.Error {
	if l.closed {
		return &tcpip.ErrClosedForSend{}
	}
	if len(l.queue) == 0 {
		switch err := l.transmit(pkt); err {
		case unix.EAGAIN, unix.ENOBUFS:
		case nil:
			return nil
		default:
			return &tcpip.ErrClosedForSend{}
		}
	}
	if l.queued+pkt.Size() > maxQueued {
		return &tcpip.ErrNoBufferSpace{}
	}
	l.queue = append(l.queue, pkt.IncRef())
	l.queued += pkt.Size()
	if len(l.queue) == 1 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// transmit makes one attempt to send pkt.
func (l *link) transmit(pkt *stack.PacketBuffer) (err error) {
	var hdr [vnetHdrSize]byte
	vnetHdrOf(pkt).put(hdr[:])
	slices := pkt.AsSlices()
	if len(slices) > 64 { // far below IOV_MAX, far above what TCP makes of 64 KiB
		v := pkt.ToView()
		defer v.Release()
		slices = [][]byte{v.AsSlice()}
	}
	var arr [8][]byte
	iov := append(append(arr[:0], hdr[:l.hdr]), slices...)
	return l.writev(iov)
}

func (l *link) writev(iov [][]byte) (err error) {
	cerr := l.raw.Control(func(fd uintptr) {
		for {
			if _, err = unix.Writev(int(fd), iov); err != unix.EINTR {
				return
			}
		}
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// vnetHdrOf returns the header for a packet of the stack's (virtio 1.2
// section 5.1.6.4.1; the pseudo-header's sum is in place already).
func vnetHdrOf(pkt *stack.PacketBuffer) (h vnetHdr) {
	gso := &pkt.GSOOptions
	if gso.Type == stack.GSONone || !gso.NeedsCsum {
		return h
	}
	h.flags = vnetNeedsCsum
	h.csumStart = uint16(ethHdrSize + len(pkt.NetworkHeader().Slice()))
	h.csumOffset = gso.CsumOffset
	if gso.MSS == 0 || pkt.Data().Size() <= int(gso.MSS) {
		return h
	}
	h.gsoType, h.gsoSize, h.hdrLen = gsoTCPv4, gso.MSS, uint16(pkt.HeaderSize())
	if gso.Type == stack.GSOTCPv6 {
		h.gsoType = gsoTCPv6
	}
	return h
}

// writeLoop sends what was queued while the guest did not read.
func (l *link) writeLoop() {
	defer l.wg.Done()
	for range l.wake {
		// The callback returns false to be called again when the socket is writable.
		l.raw.Write(func(uintptr) (done bool) { return l.drain() })
	}
}

func (l *link) drain() (done bool) {
	l.txMu.Lock()
	defer l.txMu.Unlock()
	for !l.closed && len(l.queue) > 0 {
		pkt := l.queue[0]
		if err := l.transmit(pkt); err == unix.EAGAIN {
			return false
		}
		l.queued -= pkt.Size()
		l.queue[0] = nil
		l.queue = l.queue[1:]
		pkt.DecRef()
	}
	if len(l.queue) == 0 {
		l.queue = nil
	}
	return true
}

// sendIP sends an IP packet made elsewhere to the guest, or drops it.
func (l *link) sendIP(etherType uint16, packet []byte) {
	var hdr [vnetHdrSize + ethHdrSize]byte
	vnetHdr{}.put(hdr[:])
	head := hdr[vnetHdrSize-l.hdr:]
	eth := hdr[vnetHdrSize:]
	copy(eth, guestMAC)
	copy(eth[6:], l.mac)
	eth[12], eth[13] = byte(etherType>>8), byte(etherType)
	l.txMu.Lock()
	defer l.txMu.Unlock()
	if !l.closed && len(l.queue) == 0 {
		l.writev([][]byte{head, packet})
	}
}
