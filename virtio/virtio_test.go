package virtio

import (
	"errors"
	"testing"

	"github.com/tailor-os/tailor/abi"
)

// TestNeedEvent compares with the definition: notify if event is one of the
// entries old, old+1, ..., new-1.
func TestNeedEvent(t *testing.T) {
	for _, base := range []uint16{0, 7, 32766, 65530} {
		for n := uint16(0); n < 12; n++ {
			for e := uint16(0); e < 20; e++ {
				event := base - 4 + e
				want := false
				for i := uint16(0); i < n; i++ {
					want = want || base+i == event
				}
				if got := NeedEvent(event, base+n, base); got != want {
					t.Errorf("NeedEvent(%d, %d, %d) = %v, want %v", event, base+n, base, got, want)
				}
			}
		}
	}
}

func TestCheckQueue(t *testing.T) {
	ok := abi.Queue{Desc: 0x1000, Avail: 0x2004, Used: 0x3004, Size: 256}
	for _, tt := range []struct {
		name   string
		change func(*abi.Queue)
		ok     bool
	}{
		{"good", func(q *abi.Queue) {}, true},
		{"smallest", func(q *abi.Queue) { q.Size = 2 }, true},
		{"largest", func(q *abi.Queue) { q.Size = 32768 }, true},
		{"size 0", func(q *abi.Queue) { q.Size = 0 }, false},
		{"size 1", func(q *abi.Queue) { q.Size = 1 }, false},
		{"size 3", func(q *abi.Queue) { q.Size = 3 }, false},
		{"size 65536", func(q *abi.Queue) { q.Size = 65536 }, false},
		{"desc unaligned", func(q *abi.Queue) { q.Desc += 8 }, false},
		{"avail unaligned", func(q *abi.Queue) { q.Avail += 2 }, false},
		{"used unaligned", func(q *abi.Queue) { q.Used += 2 }, false},
		{"desc wraps", func(q *abi.Queue) { q.Desc = 1<<64 - 16 }, false},
		{"avail wraps", func(q *abi.Queue) { q.Avail = 1<<64 - 4 }, false},
		{"used wraps", func(q *abi.Queue) { q.Used = 1<<64 - 4 }, false},
	} {
		q := ok
		tt.change(&q)
		if err := CheckQueue(&q); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestNetHdrWire(t *testing.T) {
	h := NetHdr{Flags: 1, GSOType: 4, HdrLen: 0x0203, GSOSize: 0x0405, CsumStart: 0x0607, CsumOffset: 0x0809, NumBuffers: 0x0a0b}
	want := [NetHdrLen]byte{1, 4, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10}
	var b [NetHdrLen]byte
	h.Encode(b[:])
	if b != want {
		t.Errorf("encoded %x, want %x", b, want)
	}
	if got, err := DecodeNetHdr(b[:]); got != h || err != nil {
		t.Errorf("decoded %+v, %v, want %+v", got, err, h)
	}
	if _, err := DecodeNetHdr(b[:NetHdrLen-1]); !errors.Is(err, ErrNetHdrShort) {
		t.Errorf("short header: %v", err)
	}
}

func TestNetHdrCheck(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    NetHdr
		n    int
		want error
	}{
		{"plain", NetHdr{}, 0, nil},
		{"csum at the end", NetHdr{Flags: NetHdrNeedsCsum, CsumStart: 34, CsumOffset: 16}, 52, nil},
		{"csum past the end", NetHdr{Flags: NetHdrNeedsCsum, CsumStart: 34, CsumOffset: 16}, 51, ErrNetHdrCsum},
		{"csum sum over 16 bits", NetHdr{Flags: NetHdrNeedsCsum, CsumStart: 65535, CsumOffset: 65535}, 1500, ErrNetHdrCsum},
		{"csum fields not in use", NetHdr{CsumStart: 65535}, 60, nil},
		{"tso", NetHdr{GSOType: GSOTCPv4 | GSOECN, GSOSize: 1448}, 9000, nil},
		{"tso without a size", NetHdr{GSOType: GSOTCPv6}, 9000, ErrNetHdrGSO},
		{"ecn alone", NetHdr{GSOType: GSOECN}, 60, ErrNetHdrGSO},
		{"unknown", NetHdr{GSOType: 2, GSOSize: 1}, 60, ErrNetHdrGSO},
	} {
		if err := tt.h.Check(tt.n); err != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

func FuzzNetHdr(f *testing.F) {
	f.Add([]byte{1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0, 1, 0}, 1514)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		h, err := DecodeNetHdr(b)
		if err != nil {
			return
		}
		var out [NetHdrLen]byte
		h.Encode(out[:])
		if string(out[:]) != string(b[:NetHdrLen]) {
			t.Errorf("encode(decode(%x)) = %x", b[:NetHdrLen], out)
		}
		if n >= 0 && h.Check(n) == nil && h.Flags&NetHdrNeedsCsum != 0 && int(h.CsumStart)+int(h.CsumOffset) > n-2 {
			t.Errorf("checksum field of %+v passed for %d bytes", h, n)
		}
	})
}
