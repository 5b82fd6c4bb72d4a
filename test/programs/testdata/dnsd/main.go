// Command dnsd is an authoritative DNS server on github.com/miekg/dns, for one
// zone that it reads from its source: UDP, TCP where an answer is too large,
// and zone transfers.
package main

import (
	_ "embed"
	"log"
	"strings"

	"github.com/miekg/dns"
)

//go:embed zone.txt
var zoneFile string

const origin = "tailor.test."

// A zone maps a name in lower case to its records; apex is its SOA.
type zone struct {
	names map[string][]dns.RR
	all   []dns.RR
	apex  dns.RR
}

func main() {
	z, err := parse(zoneFile)
	if err != nil {
		log.Fatal(err)
	}
	dns.HandleFunc(origin, z.answer)
	failed := make(chan error)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: ":53", Net: network, NotifyStartedFunc: func() { log.Printf("%s ready", network) }}
		go func() { failed <- server.ListenAndServe() }()
	}
	log.Fatal(<-failed)
}

func parse(text string) (*zone, error) {
	z := &zone{names: map[string][]dns.RR{}}
	p := dns.NewZoneParser(strings.NewReader(text), origin, "zone.txt")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		name := strings.ToLower(rr.Header().Name)
		z.names[name] = append(z.names[name], rr)
		z.all = append(z.all, rr)
		if rr.Header().Rrtype == dns.TypeSOA {
			z.apex = rr
		}
	}
	return z, p.Err()
}

// answer answers one question.
func (z *zone) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg)
	m.SetReply(q)
	m.Authoritative = true
	question := q.Question[0]
	if question.Qtype == dns.TypeAXFR {
		z.transfer(w, q)
		return
	}
	z.lookUp(m, strings.ToLower(question.Name), question.Qtype)
	if w.RemoteAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = max(size, int(o.UDPSize()))
			m.SetEdns0(1232, false)
		}
		m.Truncate(size)
	}
	if err := w.WriteMsg(m); err != nil {
		log.Print(err)
	}
}

// lookUp fills m with what the zone knows of a name, following aliases.
func (z *zone) lookUp(m *dns.Msg, name string, qtype uint16) {
	records, found := z.names[name]
	if !found && len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	for _, rr := range records {
		switch alias, ok := rr.(*dns.CNAME); {
		case rr.Header().Rrtype == qtype:
			m.Answer = append(m.Answer, rr)
		case ok && len(m.Answer) < 8:
			m.Answer = append(m.Answer, rr)
			z.lookUp(m, strings.ToLower(alias.Target), qtype)
		}
	}
	if len(m.Answer) == 0 {
		m.Ns = []dns.RR{z.apex}
	}
}

// transfer sends the whole zone.
func (z *zone) transfer(w dns.ResponseWriter, q *dns.Msg) {
	defer w.Close()
	records := make(chan *dns.Envelope, 1)
	records <- &dns.Envelope{RR: append(append([]dns.RR{}, z.all...), z.apex)}
	close(records)
	if err := new(dns.Transfer).Out(w, q, records); err != nil {
		log.Print(err)
	}
}
