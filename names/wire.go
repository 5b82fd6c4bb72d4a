package names

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	headLen    = 12   // RFC 1035 section 4.1.1
	maxPayload = 1232 // bytes of a datagram that need no fragments, https://dnsflagday.net/2020/
	// padBlock is what a question over TLS is padded to a multiple of, so that its length
	// says little (RFC 8467 section 4.1), by the option padCode (RFC 7830).
	padBlock = 128
	padCode  = 12
)

// Bounds of how long an answer is kept. Longer lifetimes are cut, as RFC 8767 section 4
// and RFC 2308 section 5 advise.
const (
	maxLife     = 24 * time.Hour
	maxNegative = time.Hour
)

var (
	// ErrForeign is of a message that answers another question, or is no answer: over
	// UDP somebody's guess, perhaps, and the answer may yet come.
	ErrForeign = errors.New("it does not answer the question")
	// ErrMalformed is of an answer that breaks RFC 1035.
	ErrMalformed = errors.New("the answer is malformed")
	// ErrReferral is of a server that answers for its own names only.
	ErrReferral = errors.New("the server refers to others instead of asking them")
)

// AppendQuery appends the message that asks q, with an id. Padded, it is fit for TLS.
func AppendQuery(b []byte, id uint16, q dnsmessage.Question, padded bool) ([]byte, error) {
	start := len(b)
	// The AD bit asks whether the answer is authenticated (RFC 6840 section 5.7).
	m := dnsmessage.NewBuilder(b, dnsmessage.Header{ID: id, RecursionDesired: true, AuthenticData: true})
	var opt dnsmessage.OPTResource
	if padded {
		const option, rest = 4, 4 + 11 // of this option; of the question and of the OPT record
		n := headLen + int(q.Name.Length) + 1 + rest + option
		if q.Name.Length == 1 {
			n-- // the root has no label
		}
		opt.Options = []dnsmessage.Option{{Code: padCode, Data: make([]byte, (padBlock-n%padBlock)%padBlock)}}
	}
	var h dnsmessage.ResourceHeader
	err := errors.Join(m.StartQuestions(), m.Question(q), m.StartAdditionals(), h.SetEDNS0(maxPayload, dnsmessage.RCodeSuccess, false), m.OPTResource(h, opt))
	if err != nil {
		return b[:start], err
	}
	return m.Finish()
}

// A query is a question as the program's resolver asks it.
type query struct {
	head dnsmessage.Header
	q    dnsmessage.Question
}

// parseQuery reads a question. It is nothing to answer if code is not Success; the head
// is there even then, unless err is set.
func parseQuery(b []byte) (q query, code dnsmessage.RCode, err error) {
	var p dnsmessage.Parser
	if q.head, err = p.Start(b); err != nil || q.head.Response {
		return q, 0, ErrMalformed
	}
	if q.head.OpCode != 0 {
		return q, dnsmessage.RCodeNotImplemented, nil
	}
	if q.q, err = p.Question(); err != nil {
		return q, dnsmessage.RCodeFormatError, nil
	}
	if _, err = p.Question(); err != dnsmessage.ErrSectionDone {
		return q, dnsmessage.RCodeFormatError, nil
	}
	return q, dnsmessage.RCodeSuccess, nil
}

// refusal answers a message that is not asked on, with a head alone.
func refusal(q query, code dnsmessage.RCode) []byte {
	b := make([]byte, headLen)
	binary.BigEndian.PutUint16(b, q.head.ID)
	b[2] = 0x80 | byte(q.head.OpCode)<<3 // QR
	b[3] = 0x80 | byte(code)             // RA
	return b
}

// keyOf returns what questions have in common that have the same answer. Case does not
// count (RFC 4343).
func keyOf(q dnsmessage.Question) string {
	b := make([]byte, 4, 4+int(q.Name.Length))
	binary.BigEndian.PutUint16(b, uint16(q.Type))
	binary.BigEndian.PutUint16(b[2:], uint16(q.Class))
	for _, c := range q.Name.Data[:q.Name.Length] {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return string(b)
}

// An Answer is a server's.
type Answer struct {
	// Truncated says that it is not whole.
	Truncated bool
	// msg is the message: the records that answer or, if there are none, those that say
	// why, without the server's own remarks.
	msg []byte
	// life is for how long it may be given again, 0 for not at all.
	life time.Duration
}

// Examine checks that msg answers q as asked with id, and what it may be used for. It
// keeps no part of msg.
func Examine(msg []byte, id uint16, q dnsmessage.Question) (*Answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil || !h.Response || h.ID != id || h.OpCode != 0 {
		return nil, ErrForeign
	}
	got, err := p.Question()
	if err != nil || got.Type != q.Type || got.Class != q.Class || keyOf(got) != keyOf(q) {
		return nil, ErrForeign
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return nil, ErrForeign
	}
	if code := extended(p, h); code > 0xf {
		return nil, errors.New("the server answers with code " + strconv.Itoa(int(code)))
	}
	msg, ok := cut(msg)
	if !ok {
		return nil, ErrMalformed
	}
	r, err := read(msg, q.Type)
	if err != nil {
		return nil, ErrMalformed
	}
	if h.RCode == dnsmessage.RCodeSuccess && !h.Authoritative && !h.RecursionAvailable && r.records == 0 && r.negative < 0 {
		return nil, ErrReferral
	}
	msg[3] |= 0x80 // RA: whoever answered does ask others, or was found out
	a := &Answer{Truncated: h.Truncated, msg: msg}
	if !h.Truncated {
		a.life = r.lifetime(h.RCode)
	}
	return a, nil
}

// extended returns the response's code with the upper bits that EDNS gives it (RFC 6891
// section 6.1.3). What is malformed is found elsewhere.
func extended(p dnsmessage.Parser, h dnsmessage.Header) dnsmessage.RCode {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return h.RCode
	}
	for {
		r, err := p.AdditionalHeader()
		if err != nil {
			return h.RCode
		}
		if r.Type == dnsmessage.TypeOPT {
			return r.ExtendedRCode(h.RCode)
		}
		if p.SkipAdditional() != nil {
			return h.RCode
		}
	}
}

// cut returns a copy of msg with what is kept of it: no additional records, and no
// authorities either unless one says for how long there is no answer.
func cut(msg []byte) ([]byte, bool) {
	l, ok := sections(msg)
	if !ok {
		return nil, false
	}
	end, authorities := l.answers, uint16(0)
	if l.soa {
		end, authorities = l.authorities, uint16(count(msg, 2))
	}
	b := append([]byte(nil), msg[:end]...)
	binary.BigEndian.PutUint16(b[8:], authorities)
	binary.BigEndian.PutUint16(b[10:], 0)
	return b, true
}

// A reading is what the records of an answer say.
type reading struct {
	records  int           // that answer
	found    bool          // one of the type that was asked for
	least    time.Duration // lifetime of the answers
	negative time.Duration // that of there being none, -1 if nothing says it
}

// read reads all of msg, which was cut.
func read(msg []byte, typ dnsmessage.Type) (r reading, err error) {
	r.least, r.negative = maxLife, -1
	var p dnsmessage.Parser
	if _, err := p.Start(msg); err != nil {
		return r, err
	}
	if err := p.SkipAllQuestions(); err != nil {
		return r, err
	}
	for {
		h, err := p.AnswerHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err == nil {
			err = readBody(&p, h.Type)
		}
		if err != nil {
			return r, err
		}
		r.records++
		r.found = r.found || h.Type == typ || typ == dnsmessage.TypeALL
		r.least = min(r.least, seconds(h.TTL))
	}
	return r, r.authorities(&p)
}

// authorities reads what says that there is no answer (RFC 2308 section 3).
func (r *reading) authorities(p *dnsmessage.Parser) error {
	for {
		h, err := p.AuthorityHeader()
		if err == dnsmessage.ErrSectionDone {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Type != dnsmessage.TypeSOA {
			if err := p.SkipAuthority(); err != nil {
				return err
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return err
		}
		r.negative = min(maxNegative, seconds(h.TTL), seconds(soa.MinTTL))
	}
}

// readBody reads the answer that the parser is at. Of those types that package net looks
// up, what is malformed is found; the others it does not read either.
func readBody(p *dnsmessage.Parser, typ dnsmessage.Type) (err error) {
	switch typ {
	case dnsmessage.TypeA:
		_, err = p.AResource()
	case dnsmessage.TypeAAAA:
		_, err = p.AAAAResource()
	case dnsmessage.TypeCNAME:
		_, err = p.CNAMEResource()
	case dnsmessage.TypePTR:
		_, err = p.PTRResource()
	case dnsmessage.TypeMX:
		_, err = p.MXResource()
	case dnsmessage.TypeNS:
		_, err = p.NSResource()
	case dnsmessage.TypeSRV:
		_, err = p.SRVResource()
	case dnsmessage.TypeTXT:
		_, err = p.TXTResource()
	default:
		err = p.SkipAnswer()
	}
	return err
}

// lifetime returns for how long an answer may be kept: as long as the first of its
// records or, if it says that there are none, as long as the zone says that such answers
// may (RFC 2308 section 5). Other codes are of a server's moment.
func (r *reading) lifetime(code dnsmessage.RCode) time.Duration {
	switch {
	case code == dnsmessage.RCodeSuccess && r.found:
		return r.least
	case code == dnsmessage.RCodeSuccess, code == dnsmessage.RCodeNameError:
		return max(0, min(r.least, r.negative))
	}
	return 0
}

// seconds is a TTL, of which those with the highest bit count as none (RFC 2181 section
// 8).
func seconds(ttl uint32) time.Duration {
	if int32(ttl) < 0 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// bytesFor returns the message as the answer to q, when age has passed since it came.
func (a *Answer) bytesFor(q query, age time.Duration) []byte {
	b := append([]byte(nil), a.msg...)
	binary.BigEndian.PutUint16(b, q.head.ID)
	b[2] &^= 1
	if q.head.RecursionDesired {
		b[2] |= 1
	}
	if !q.head.AuthenticData {
		b[3] &^= 0x20
	}
	lower(b, uint32(age/time.Second))
	return b
}
