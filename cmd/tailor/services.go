package main

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// Services that are linked on demand, beside the program: build links them, run
// says what with, and links them into what it builds.

// services are the names of those that o asks for.
func (o *buildOptions) services() (list []string) {
	if o.metrics {
		list = append(list, build.Metrics)
	}
	if o.ntp {
		list = append(list, build.NTP)
	}
	return list
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
}

func (s *serviceOptions) flags() []cli.Flag {
	return []cli.Flag{
		cli.ValueFlag(&s.metrics, "metrics", 0, "[ADDR]:PORT", "serve figures to Prometheus, at /metrics; with\n--net user the port is published on the host, too", parseMetrics),
		cli.ListFlag(&s.ntp, "ntp", 0, "SERVER", "time server, an address or a name; repeatable", parseNTP),
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

// params are the boot parameters.
func (s *serviceOptions) params() (words []string) {
	if s.metrics != "" {
		words = append(words, "metrics="+s.metrics)
	}
	if len(s.ntp) > 0 {
		words = append(words, "ntp="+strings.Join(s.ntp, ","))
	}
	return words
}

// env are the variables that tell a plain process (boot/scrape).
func (s *serviceOptions) env() []string {
	if s.metrics == "" {
		return nil
	}
	return []string{"TAILOR_METRICS=" + s.metrics}
}

// link asks for what s needs.
func (s *serviceOptions) link(o *buildOptions) {
	o.metrics = o.metrics || s.metrics != ""
	o.ntp = o.ntp || len(s.ntp) > 0
}

// check refuses services that an image does not have.
func (s *serviceOptions) check(path string, n image.Note) error {
	var o buildOptions
	s.link(&o)
	for _, name := range o.services() {
		if !slices.Contains(n.Services, name) {
			return hint.Errorf("rebuild it with: tailor build --"+name+" "+n.Main, "--%s: %s was built without it", name, path)
		}
	}
	return nil
}

// checkUnix refuses metrics of a plain program that was built without: the name of
// a function that serves them is in those that were built with.
func (s *serviceOptions) checkUnix(path string) error {
	if s.metrics == "" {
		return nil
	}
	data, err := os.ReadFile(path)
	if err != nil || bytes.Contains(data, []byte("Tailor/boot/scrape.serve")) {
		return err
	}
	return hint.Errorf("rebuild it with: tailor build -t unix --metrics PACKAGE", "--metrics: %s was built without it", path)
}

// publishMetrics publishes the port of the metrics on the host, unless -p does. The address
// is then the host's, and the guest listens at all of its own.
func (o *runOptions) publishMetrics() {
	if o.serve.metrics == "" || o.net.Kind != "user" || o.target == build.Unix {
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
