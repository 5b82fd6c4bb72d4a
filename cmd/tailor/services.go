package main

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/names/dot"
	"github.com/tailor-os/tailor/params"
)

// Services that are linked on demand, beside the program: build links them, run
// says what with, and links them into what it builds.

// services are the names of those that o asks for.
func (o *buildOptions) services() []string {
	list := slices.Clone(o.linked)
	if o.metrics {
		list = append(list, "metrics")
	}
	if o.ntp {
		list = append(list, "ntp")
	}
	return list
}

// link asks for what boot parameters need.
func (o *buildOptions) link(words []string) {
	for _, w := range words {
		s := params.ServiceOf(w)
		if s == "dns+" { // any resolver: none, if there is one
			_, s = params.Lacking([]string{w}, o.services())
		}
		if slices.Contains(build.Services(), s) {
			o.linked = append(slices.Clone(o.linked), s)
		}
	}
}

// parseLog refuses unknown transports.
func parseLog(s string) (string, error) { return parseKind(s, "syslog+", "transport") }

// parseResolver refuses unknown resolvers.
func parseResolver(s string) (string, error) { return parseKind(s, "dns+", "resolver") }

// parseKind refuses what is not the name of a service that begins with prefix.
func parseKind(s, prefix, what string) (string, error) {
	kinds := slices.DeleteFunc(build.Services(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
	if !slices.Contains(kinds, s) {
		return "", hint.Errorf(what+"s are: "+strings.Join(kinds, ", "), "unknown %s", what)
	}
	return s, nil
}

// serviceFlags are those of build.
func serviceFlags(o *buildOptions) []cli.Flag {
	return []cli.Flag{
		cli.BoolFlag(&o.metrics, "metrics", 0, "link what serves figures to Prometheus, at the\naddress that run --metrics gives (docs/services.md)"),
		cli.BoolFlag(&o.ntp, "ntp", 0, "link a client of NTP, for the servers that run --ntp\ngives, or DHCP"),
	}
}

// serviceOptions are run's.
type serviceOptions struct {
	metrics string   // [ADDRESS]:PORT, "" for none
	ntp     []string // servers
	syslog  string   // collector, "" for none
	dnsTLS  []string // servers
}

func (s *serviceOptions) flags() []cli.Flag {
	return []cli.Flag{
		cli.ValueFlag(&s.metrics, "metrics", 0, "[ADDR]:PORT", "serve figures to Prometheus, at /metrics; with\n--net user the port is published on the host, too", parseMetrics),
		cli.ListFlag(&s.dnsTLS, "dns-tls", 0, "ADDR[:PORT][#NAME]", "name server that is asked over TLS, verified by NAME\nor its address; a package gets what it takes as by\n--resolver dns+tls; repeatable", parseDNSTLS),
		cli.ListFlag(&s.ntp, "ntp", 0, "SERVER", "time server, an address or a name; repeatable", parseNTP),
		cli.ValueFlag(&s.syslog, "syslog", 0, "URL", "send the program's log to udp|tcp|tls://HOST[:PORT];\na package gets the transport as by --log", parseSyslog),
	}
}

// parseMetrics refuses what cannot be listened at.
func parseMetrics(s string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err == nil && host != "" {
		_, err = netip.ParseAddr(host)
	}
	if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 {
		return "", hint.Errorf("write [ADDRESS]:PORT, such as :9090 or 10.0.0.5:9090", "not an address to listen at")
	}
	return s, nil
}

func parseNTP(s string) (string, error) {
	if s == "" || strings.ContainsAny(s, ", \t\n\"") {
		return "", hint.Errorf("write one address or name; --ntp may come again", "not a time server")
	}
	return s, nil
}

// parseDNSTLS refuses what is no server.
func parseDNSTLS(s string) (string, error) {
	if _, err := dot.ParseServer(s); err != nil {
		return "", hint.Errorf("such as 9.9.9.9#dns.quad9.net; --dns-tls may come again", "%w", err)
	}
	return s, nil
}

// parseSyslog checks the address of a collector.
func parseSyslog(s string) (string, error) {
	if _, _, ok := params.ParseSyslog(s); !ok {
		return "", hint.Errorf("such as tls://logs.example.com or udp://10.0.0.1:514", "want %s", params.SyslogSyntax)
	}
	return s, nil
}

// words are the boot parameters.
func (o *runOptions) words() (words []string) {
	if o.serve.metrics != "" {
		words = append(words, "metrics="+o.serve.metrics)
	}
	if len(o.serve.ntp) > 0 {
		words = append(words, "ntp="+strings.Join(o.serve.ntp, ","))
	}
	if o.serve.syslog != "" {
		words = append(words, "syslog="+o.serve.syslog)
	}
	if len(o.serve.dnsTLS) > 0 {
		words = append(words, "dns-tls="+strings.Join(o.serve.dnsTLS, ","))
	}
	return append(words, o.params...)
}

// unixParams is the environment by which a plain process has them, and its disks.
func (o *runOptions) unixParams() ([]string, error) {
	disks, err := o.unixDisks()
	words := append(o.words(), disks...)
	if len(words) == 0 || err != nil {
		return nil, err
	}
	return []string{"TAILOR_PARAMS=" + params.Line{System: words}.String()}, nil
}

// checkServices refuses to ask for services which what is run has not. pkg is what
// would have to be built.
func (o *runOptions) checkServices(path string, has []string, pkg string) error {
	_, lacks := params.Lacking(o.words(), has)
	if lacks == "" {
		return nil
	}
	return errLacks(path, lacks, params.BuildFlag(lacks), pkg)
}

// checkUnixServices does so for a plain program, which has no note.
func (o *runOptions) checkUnixServices(path string) error {
	if len(o.words()) == 0 {
		return nil
	}
	p, err := anatomy.Open(path)
	if err != nil {
		return err
	}
	var has []string
	for _, s := range port.Services {
		if slices.ContainsFunc(p.Functions, func(f anatomy.Function) bool { return f.Package == port.Prefix+s.Package }) {
			has = append(has, s.Name)
		}
	}
	return o.checkServices(path, has, "-t unix PACKAGE")
}

// publishMetrics publishes the port of the metrics on the host, unless -p does. The address
// is then the host's, and the guest listens at all of its own.
func (o *runOptions) publishMetrics() {
	if o.serve.metrics == "" || !o.hasNet("user") || o.target == build.Unix {
		return
	}
	host, text, _ := net.SplitHostPort(o.serve.metrics)
	port, _ := strconv.ParseUint(text, 10, 16) // parseMetrics has looked at it
	o.serve.metrics = ":" + text
	p := cli.Publish{Host: uint16(port), Guest: uint16(port)}
	if host != "" {
		p.Addr = netip.MustParseAddr(host)
	}
	if !slices.ContainsFunc(o.publish, func(q cli.Publish) bool { return q.Guest == p.Guest && !q.UDP }) {
		o.publish = append(o.publish, p)
	}
}

// errNTPUnix refuses --ntp for a plain process.
func errNTPUnix() error {
	return hint.Errorf("remove it", "--ntp: the clock of a plain process (target unix) is the host's, and the host's to set")
}
