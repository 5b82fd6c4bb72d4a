package anatomy

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Data that no function's table speaks of, but that has a form of its own. It is
// given to the package whose function reads it, if that is linked.

// Where the functions are that read them.
const (
	rootsFile   = "crypto/x509/tailor_roots.go"
	zonesFile   = "Tailor/zones/zones.go"
	zonesFileGo = "time/tzdata/tzdata.go"
)

// minRoots is how many certificates behind each other are taken for a bundle of
// roots, not for a certificate of the program's own.
const minRoots = 20

// known claims the data that is recognized in read-only segments.
func (l *ledger) known(list []Function, m memory) {
	readers := map[string]Owner{}
	for i := range list {
		switch f := &list[i]; f.File {
		case rootsFile, zonesFile, zonesFileGo:
			readers[f.File] = f.owner(Constants)
		}
	}
	if len(readers) == 0 {
		return
	}
	for _, s := range m {
		if s.flags&(elf.PF_W|elf.PF_X) != 0 {
			continue
		}
		if o, ok := readers[rootsFile]; ok {
			from, to := certificates(s.data)
			l.claim(levelThing, s.off+from, s.off+to, o)
		}
		o, ok := readers[zonesFile]
		if !ok {
			o, ok = readers[zonesFileGo]
		}
		if ok {
			from, to := zipArchive(s.data)
			l.claim(levelThing, s.off+from, s.off+to, o)
		}
	}
}

// certificates returns where in b the first run of minRoots certificates or more
// is (X.509, DER: a sequence that begins with a sequence that begins with the
// version 3, RFC 5280 section 4.1).
func certificates(b []byte) (from, to uint64) {
	version3 := []byte{0xa0, 3, 2, 1, 2}
	for at := 0; ; {
		n := bytes.Index(b[at:], version3)
		if n < 0 {
			return 0, 0
		}
		start := at + n - 8
		at += n + len(version3)
		if start < 0 {
			continue
		}
		end, count := start, 0
		for size := certificate(b[end:]); size > 0; size = certificate(b[end:]) {
			end, count = end+size, count+1
		}
		if count >= minRoots {
			return uint64(start), uint64(end)
		}
		at = max(at, end)
	}
}

// certificate returns the size of the certificate that b begins with, 0 if it
// does not.
func certificate(b []byte) int {
	if len(b) < 13 || b[0] != 0x30 || b[1] != 0x82 || b[4] != 0x30 || b[5] != 0x82 || b[8] != 0xa0 {
		return 0
	}
	size := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if size > len(b) {
		return 0
	}
	return size
}

// zipArchive returns where in b the first archive is that begins with a file, and
// whose end says that it has 100 files or more, as zone data does
// (APPNOTE.TXT sections 4.3.7 and 4.3.16).
func zipArchive(b []byte) (from, to uint64) {
	const endSize = 22
	first := bytes.Index(b, []byte("PK\x03\x04"))
	for at := max(first, 0); first >= 0; {
		n := bytes.Index(b[at:], []byte("PK\x05\x06"))
		if n < 0 || len(b)-at-n < endSize {
			return 0, 0
		}
		end := b[at+n:]
		start := at + n - int(u32(end, 12)) - int(u32(end, 16)) // before the directory's size and offset
		at += n + endSize
		if start >= first && binary.LittleEndian.Uint16(end[10:]) >= 100 && bytes.HasPrefix(b[start:], []byte("PK\x03\x04")) {
			return uint64(start), uint64(at)
		}
	}
	return 0, 0
}
