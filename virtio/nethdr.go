package virtio

import "errors"

// NetHdrLen is the length in bytes of the header before each packet of a
// network device, virtio 1.2 section 5.1.6 (num_buffers is always there with
// VIRTIO_F_VERSION_1).
const NetHdrLen = 12

// Flags of [NetHdr.Flags], virtio 1.2 section 5.1.6.
const (
	NetHdrNeedsCsum = 1 // CsumStart and CsumOffset are valid, checksum is partial
	NetHdrDataValid = 2 // checksum was checked
)

// Values of [NetHdr.GSOType], virtio 1.2 section 5.1.6.
const (
	GSONone  = 0
	GSOTCPv4 = 1
	GSOUDP   = 3
	GSOTCPv6 = 4
	GSOUDPL4 = 5
	GSOECN   = 0x80 // a bit beside GSOTCPv4 or GSOTCPv6
)

// NetHdr is struct virtio_net_hdr, virtio 1.2 section 5.1.6. Lengths and
// offsets are in bytes from the start of the packet behind the header.
type NetHdr struct {
	Flags      uint8
	GSOType    uint8
	HdrLen     uint16 // length of all headers; a hint
	GSOSize    uint16 // maximum size of a segment's payload
	CsumStart  uint16 // where checksumming starts
	CsumOffset uint16 // where the checksum goes, from CsumStart
	NumBuffers uint16 // buffers merged into this packet; receive only
}

// Errors of [DecodeNetHdr] and [NetHdr.Check].
var (
	ErrNetHdrShort = errors.New("virtio: packet is shorter than its 12-byte header")
	ErrNetHdrCsum  = errors.New("virtio: checksum field lies outside the packet")
	ErrNetHdrGSO   = errors.New("virtio: segmentation type or size is not valid")
)

// Encode writes h to the first NetHdrLen bytes of b, which must have them.
func (h *NetHdr) Encode(b []byte) {
	_ = b[NetHdrLen-1]
	b[0], b[1] = h.Flags, h.GSOType
	put16(b[2:], h.HdrLen)
	put16(b[4:], h.GSOSize)
	put16(b[6:], h.CsumStart)
	put16(b[8:], h.CsumOffset)
	put16(b[10:], h.NumBuffers)
}

// DecodeNetHdr reads a header from the start of b.
func DecodeNetHdr(b []byte) (NetHdr, error) {
	if len(b) < NetHdrLen {
		return NetHdr{}, ErrNetHdrShort
	}
	return NetHdr{
		Flags:      b[0],
		GSOType:    b[1],
		HdrLen:     get16(b[2:]),
		GSOSize:    get16(b[4:]),
		CsumStart:  get16(b[6:]),
		CsumOffset: get16(b[8:]),
		NumBuffers: get16(b[10:]),
	}, nil
}

// Check reports whether a header that came from the other side fits a packet
// of n bytes (without the header): the checksum field lies inside, and the
// segmentation type is known and has a size. HdrLen is a hint that must not be
// relied on (virtio 1.2 section 5.1.6.4.2) and is not checked.
func (h *NetHdr) Check(n int) error {
	if h.Flags&NetHdrNeedsCsum != 0 && int(h.CsumStart)+int(h.CsumOffset)+2 > n {
		return ErrNetHdrCsum
	}
	switch h.GSOType &^ GSOECN {
	case GSONone:
		if h.GSOType != GSONone {
			return ErrNetHdrGSO
		}
	case GSOTCPv4, GSOTCPv6, GSOUDP, GSOUDPL4:
		if h.GSOSize == 0 {
			return ErrNetHdrGSO
		}
	default:
		return ErrNetHdrGSO
	}
	return nil
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v), byte(v>>8) }

func get16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }
