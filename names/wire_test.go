package names

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/tailor-os/tailor/internal/dnstest"
)

const testID = 0x1234

func ask(name string, typ dnsmessage.Type) dnsmessage.Question {
	return dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}
}

var testQuestion = ask("www.test.", dnsmessage.TypeA)

// reply is the answer to q that fill makes.
func reply(t testing.TB, q dnsmessage.Question, fill dnstest.Fill) []byte {
	t.Helper()
	query, err := AppendQuery(nil, testID, q, false)
	if err != nil {
		t.Fatal(err)
	}
	b := dnstest.Reply(query, fill)
	if b == nil {
		t.Fatal("no reply to ", q)
	}
	return b
}

func name(s string) dnsmessage.Name { return dnsmessage.MustNewName(s) }

// TestLife: for how long an answer is kept is what its records say.
func TestLife(t *testing.T) {
	a := &dnsmessage.AResource{A: [4]byte{192, 0, 2, 80}}
	alias := &dnsmessage.CNAMEResource{CNAME: name("real.test.")}
	type message = *dnsmessage.Message
	for what, c := range map[string]struct {
		fill func(m message)
		want time.Duration
	}{
		"the least of TTLs":    {func(m message) { dnstest.Add(m, 60, a); dnstest.Add(m, 30, a) }, 30 * time.Second},
		"an alias":             {func(m message) { dnstest.Add(m, 10, alias); dnstest.Add(m, 30, a) }, 10 * time.Second},
		"a long one":           {func(m message) { dnstest.Add(m, 1<<30, a) }, maxLife},
		"none":                 {func(m message) { dnstest.Add(m, 0, a) }, 0},
		"a negative one":       {func(m message) { dnstest.Add(m, 1<<31, a) }, 0},
		"no data":              {func(m message) { dnstest.AddSOA(m, 60, 20) }, 20 * time.Second},
		"no data, SOA's TTL":   {func(m message) { dnstest.AddSOA(m, 5, 20) }, 5 * time.Second},
		"no data, long":        {func(m message) { dnstest.AddSOA(m, 1<<30, 1<<30) }, maxNegative},
		"no data, SOA says 0":  {func(m message) { dnstest.AddSOA(m, 60, 0) }, 0},
		"no data, without SOA": {func(m message) {}, 0},
		"an alias to no data":  {func(m message) { dnstest.Add(m, 7, alias); dnstest.AddSOA(m, 60, 20) }, 7 * time.Second},
		"no such name":         {func(m message) { m.RCode = dnsmessage.RCodeNameError; dnstest.AddSOA(m, 60, 20) }, 20 * time.Second},
		"no such name, but an alias": {func(m message) {
			m.RCode = dnsmessage.RCodeNameError
			dnstest.Add(m, 600, a)
			dnstest.AddSOA(m, 60, 20)
		}, 20 * time.Second},
		"no such name, without SOA": {func(m message) { m.RCode = dnsmessage.RCodeNameError }, 0},
		"trouble":                   {func(m message) { m.RCode = dnsmessage.RCodeServerFailure; dnstest.AddSOA(m, 60, 20) }, 0},
		"refused":                   {func(m message) { m.RCode = dnsmessage.RCodeRefused; dnstest.Add(m, 60, a) }, 0},
		"truncated":                 {func(m message) { m.Truncated = true; dnstest.Add(m, 60, a) }, 0},
	} {
		got, err := Examine(reply(t, testQuestion, func(_ dnsmessage.Question, m message) { c.fill(m) }), testID, testQuestion)
		if err != nil || got.life != c.want || got.Truncated != (what == "truncated") {
			t.Errorf("%s: %+v, %v, want %v", what, got, err, c.want)
		}
	}
}

// TestKept: what is kept of an answer is what answers, and reads the same.
func TestKept(t *testing.T) {
	fill := func(_ dnsmessage.Question, m *dnsmessage.Message) {
		m.AuthenticData = true
		dnstest.Add(m, 60, &dnsmessage.CNAMEResource{CNAME: name("real.test.")})
		dnstest.Add(m, 90, &dnsmessage.AResource{A: [4]byte{192, 0, 2, 80}})
		ns := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name("test."), Class: dnsmessage.ClassINET, TTL: 9}, Body: &dnsmessage.NSResource{NS: name("ns.test.")}}
		m.Authorities = append(m.Authorities, ns)
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{Options: []dnsmessage.Option{{Code: padCode, Data: make([]byte, 400)}}}}
		opt.Header.SetEDNS0(maxPayload, 0, false)
		m.Additionals = append(m.Additionals, opt)
	}
	a, err := Examine(reply(t, testQuestion, fill), testID, testQuestion)
	if err != nil {
		t.Fatal(err)
	}
	var m dnsmessage.Message
	q := query{q: testQuestion, head: dnsmessage.Header{ID: 77}}
	if err := m.Unpack(a.bytesFor(q, 61*time.Second)); err != nil {
		t.Fatal(err)
	}
	if m.ID != 77 || m.RecursionDesired || m.AuthenticData || len(m.Answers) != 2 || len(m.Authorities)+len(m.Additionals) != 0 || m.Answers[0].Header.TTL != 0 || m.Answers[1].Header.TTL != 29 {
		t.Errorf("%+v", m)
	}
	q.head.AuthenticData, q.head.RecursionDesired = true, true
	if m.Unpack(a.bytesFor(q, 0)) != nil || !m.AuthenticData || !m.RecursionDesired || m.Answers[1].Header.TTL != 90 {
		t.Errorf("%+v", m)
	}
}

// TestRefused: what does not answer is somebody else's, what is wrong in itself ends it.
func TestRefused(t *testing.T) {
	good := reply(t, testQuestion, dnstest.Address([4]byte{192, 0, 2, 80}, 60))
	answerAt := headLen + len("\x03www\x04test\x00") + 4
	with := func(at int, b ...byte) []byte {
		msg := bytes.Clone(good)
		copy(msg[at:], b)
		return msg
	}
	high := byte(answerAt)
	for what, c := range map[string]struct {
		msg  []byte
		want error
	}{
		"nothing":             {nil, ErrForeign},
		"half a head":         {good[:7], ErrForeign},
		"another id":          {with(0, 0, 0), ErrForeign},
		"a query":             {with(2, 1), ErrForeign},
		"another operation":   {with(2, 0x80|5<<3), ErrForeign},
		"another name":        {with(headLen+1, 'x'), ErrForeign},
		"another type":        {with(answerAt-4, 0, 28), ErrForeign},
		"another class":       {with(answerAt-2, 0, 3), ErrForeign},
		"no question":         {with(4, 0, 0, 0, 0), ErrForeign},
		"two questions":       {with(4, 0, 2, 0, 0), ErrForeign},
		"a looping question":  {with(headLen, 0xc0, headLen), ErrForeign},
		"more than is there":  {with(6, 0xff, 0xff), ErrMalformed},
		"a looping name":      {with(answerAt, 0xc0, high), ErrMalformed},
		"a name from behind":  {with(answerAt, 0xc0, 0xff), ErrMalformed},
		"an end in a record":  {good[:len(good)-2], ErrMalformed},
		"a long record":       {with(answerAt+10, 0xff, 0xff), ErrMalformed},
		"a short address":     {with(answerAt+10, 0, 3), ErrMalformed},
		"a reserved label":    {with(answerAt, 0x40, high), ErrMalformed},
		"a referral":          {reply(t, testQuestion, func(_ dnsmessage.Question, m *dnsmessage.Message) { m.RecursionAvailable = false }), ErrReferral},
		"64 KiB of zeros":     {make([]byte, 65535), ErrForeign},
		"64 KiB of questions": {append(with(4, 0xff, 0xff), make([]byte, 60000)...), ErrForeign},
	} {
		if a, err := Examine(c.msg, testID, testQuestion); !errors.Is(err, c.want) {
			t.Errorf("%s: %+v, %v, want %v", what, a, err, c.want)
		}
	}
	if _, err := Examine(good, testID, ask("WWW.Test.", dnsmessage.TypeA)); err != nil {
		t.Errorf("the same name in other letters: %v", err)
	}
	bad := reply(t, testQuestion, func(_ dnsmessage.Question, m *dnsmessage.Message) {
		opt := dnsmessage.Resource{Body: &dnsmessage.OPTResource{}}
		opt.Header.SetEDNS0(maxPayload, 16, false) // BADVERS
		m.Additionals = append(m.Additionals, opt)
	})
	if _, err := Examine(bad, testID, testQuestion); err == nil || !strings.Contains(err.Error(), "code 16") {
		t.Errorf("an extended code: %v", err)
	}
}

// longName has the 255 bytes that a name may have on the wire (RFC 1035 section 2.3.4).
var longName = strings.Repeat(strings.Repeat("x", 63)+".", 3) + strings.Repeat("y", 61) + "."

// TestLongNames: the longest names are asked for and answered, and padded.
func TestLongNames(t *testing.T) {
	q := ask(longName, dnsmessage.TypeA)
	msg := reply(t, q, dnstest.Address([4]byte{192, 0, 2, 80}, 60))
	if a, err := Examine(msg, testID, q); err != nil || a.life != time.Minute {
		t.Errorf("%+v, %v", a, err)
	}
	for n := 1; n <= len(longName); n++ {
		q := ask(longName[len(longName)-n:], dnsmessage.TypeAAAA)
		if n > 1 && strings.HasPrefix(q.Name.String(), ".") {
			continue
		}
		b, err := AppendQuery([]byte("xx"), 7, q, true)
		if err != nil || (len(b)-2)%padBlock != 0 || len(b) > 512 {
			t.Fatalf("%d bytes of name: %d bytes, %v", n, len(b)-2, err)
		}
		var m dnsmessage.Message
		if err := m.Unpack(b[2:]); err != nil || m.ID != 7 || !m.RecursionDesired || m.Questions[0] != q || len(m.Additionals) != 1 {
			t.Fatalf("%+v, %v", m, err)
		}
	}
}

// FuzzExamine: whatever is accepted is an answer to the question, can be given again at
// any age, and has no more in it than what came.
func FuzzExamine(f *testing.F) {
	f.Add(reply(f, testQuestion, dnstest.Address([4]byte{192, 0, 2, 80}, 60)))
	f.Add(reply(f, testQuestion, func(_ dnsmessage.Question, m *dnsmessage.Message) {
		m.RCode = dnsmessage.RCodeNameError
		dnstest.AddSOA(m, 60, 20)
	}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		a, err := Examine(msg, testID, testQuestion)
		if err != nil {
			return
		}
		if a.life < 0 || a.life > maxLife || len(a.msg) > len(msg) {
			t.Fatalf("%x: %+v", msg, a)
		}
		young, old := a.bytesFor(query{q: testQuestion}, 0), a.bytesFor(query{q: testQuestion}, a.life)
		if _, err := Examine(young, 0, testQuestion); err != nil {
			t.Fatalf("%x: given again: %x: %v", msg, young, err)
		}
		if b, err := Examine(old, 0, testQuestion); err != nil || b.life > a.life {
			t.Fatalf("%x: given again, old: %x: %v", msg, old, err)
		}
		if binary.BigEndian.Uint16(young[10:]) != 0 || len(young) != len(a.msg) {
			t.Fatalf("%x: %x", msg, young)
		}
	})
}

// FuzzConn: whatever is written to the stub is answered, or ends the connection.
func FuzzConn(f *testing.F) {
	query, _ := AppendQuery(make([]byte, 2), testID, testQuestion, true)
	query[1] = byte(len(query) - 2)
	f.Add(query)
	f.Add(append(query, query...))
	good := reply(f, testQuestion, dnstest.Address([4]byte{192, 0, 2, 80}, 60))
	a, err := Examine(good, testID, testQuestion)
	if err != nil {
		f.Fatal(err)
	}
	s := New(NewCache(10), nil)
	s.cache.put(keyOf(testQuestion), a, time.Now())
	s.up = fixed{a}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := s.Dial(t.Context(), "udp", "192.0.2.1:53")
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, err := c.Write(b)
		if len(b) < 2 || err != nil {
			return
		}
		if n := int(binary.BigEndian.Uint16(b)); len(b) != 2+n {
			return // it waits for the rest, or answers in any order
		}
		answer, err := ReadMessage(c)
		if err == nil && (len(answer) < headLen || answer[2]&0x80 == 0 || !bytes.Equal(answer[:2], b[2:4])) {
			t.Fatalf("%x: %x", b, answer)
		}
	})
}
