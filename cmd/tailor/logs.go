package main

import (
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
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
	if o.syslog == "" || slices.Contains(n.Logs, transportOf(o.syslog)) {
		return nil
	}
	has := "no transport for its log"
	if len(n.Logs) > 0 {
		has = "only syslog+" + strings.Join(n.Logs, ", syslog+")
	}
	return hint.Errorf("rebuild it with: tailor build --log syslog+"+transportOf(o.syslog)+" "+n.Main,
		"--syslog %s: %s has %s", o.syslog, path, has)
}

// unixParams is the environment by which a plain process has its parameters.
func (o *runOptions) unixParams() []string {
	if len(o.params) == 0 {
		return nil
	}
	return []string{"TAILOR_PARAMS=" + params.Line{System: o.params}.String()}
}
