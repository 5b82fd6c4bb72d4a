package main

import (
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/params"
)

// parseSyslog checks the address of a collector.
func parseSyslog(s string) (string, error) {
	if _, _, ok := params.ParseSyslog(s); !ok {
		return "", hint.Errorf("such as tls://logs.example.com or udp://10.0.0.1:514", "want %s", params.SyslogSyntax)
	}
	return s, nil
}

// transportOf returns what an address that has been checked needs.
func transportOf(url string) string {
	scheme, _, _ := params.ParseSyslog(url)
	return scheme
}

// checkLogs refuses to send the log of an image by a transport that it has not.
func (o *runOptions) checkLogs(path string, n image.Note) error {
	return o.needTransport(path, n.Logs, n.Source())
}

// checkUnixLogs does so for a plain program, which has no note.
func (o *runOptions) checkUnixLogs(path string) error {
	if o.syslog == "" {
		return nil
	}
	p, err := anatomy.Open(path)
	if err != nil {
		return err
	}
	var has []string
	for _, f := range p.Functions {
		if name, ok := strings.CutPrefix(f.Package, port.Prefix+"logs/"); ok && slices.Contains(build.Transports, name) && !slices.Contains(has, name) {
			has = append(has, name)
		}
	}
	return o.needTransport(path, has, "-t unix PACKAGE")
}

// needTransport says what a program has, if that is not what it needs, and how to
// rebuild it.
func (o *runOptions) needTransport(path string, has []string, what string) error {
	if o.syslog == "" || slices.Contains(has, transportOf(o.syslog)) {
		return nil
	}
	list := "no transport for its log"
	if len(has) > 0 {
		list = "only syslog+" + strings.Join(has, ", syslog+")
	}
	return hint.Errorf("rebuild it with: tailor build --log syslog+"+transportOf(o.syslog)+" "+what,
		"--syslog %s: %s has %s", o.syslog, path, list)
}

// unixParams is the environment by which a plain process has its parameters.
func (o *runOptions) unixParams() []string {
	if len(o.params) == 0 {
		return nil
	}
	return []string{"TAILOR_PARAMS=" + params.Line{System: o.params}.String()}
}
