//go:build tailoros

// Package logs sends what a program writes to its standard output and standard
// error, and so by package log, to the collector that the parameters name. It is
// linked into images and plain programs that are built with a transport, and
// started by a package that the port makes, which brings the transports.
package logs

import (
	"internal/runtime/exithook"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/capture"
)

// flushTime bounds how long the end of a program waits for the collector.
const flushTime = 2 * time.Second

// Start starts what the parameters ask for. install, if not nil, puts structured
// data into the lines of log/slog and returns what recognizes them. A mistake in the
// parameters ends the program.
func Start(install func() capture.Recognizer) {
	s, err := logs.Start(parameters(), say)
	if err != nil {
		fail(err)
	}
	if s == nil {
		syscall.TailorTakeConsole(nil)
		return
	}
	c := &capture.Capture{Add: s.Add}
	if install != nil {
		c.Record = install()
	}
	for i, text := range syscall.TailorTakeConsole(c.Write) {
		c.Lines(i+1, text)
	}
	exithook.Add(exithook.Hook{RunOnFailure: true, F: func() {
		c.End()
		s.Flush(flushTime)
	}})
}

// say writes a line about the collector, which does not go to it.
func say(line string) { println(line) }
