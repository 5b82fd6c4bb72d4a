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

	"github.com/tailor-os/tailor/boot/parameters"
	"github.com/tailor-os/tailor/logs"
	"github.com/tailor-os/tailor/logs/capture"
	"github.com/tailor-os/tailor/logs/ship"
)

// flushTime bounds how long the end of a program waits for the collector.
const flushTime = 2 * time.Second

// Start starts what the parameters ask for. install, if not nil, puts structured
// data into the lines of log/slog and returns what recognizes them. It returns what
// sends, nil for nothing. A mistake in the parameters ends the program.
func Start(install func() capture.Recognizer) *ship.Shipper {
	s, err := logs.Start(parameters.Given(), say)
	if err != nil {
		parameters.Fail(err)
	}
	if s == nil {
		syscall.TailorTakeConsole(plain, func(int, []byte) {})
		return nil
	}
	c := &capture.Capture{Add: s.Add}
	if install != nil {
		c.Record = install()
	}
	syscall.TailorTakeConsole(c.Write, c.Lines)
	exithook.Add(exithook.Hook{RunOnFailure: true, F: func() {
		c.End()
		s.Flush(flushTime)
	}})
	return s
}

// plain writes what nobody else is to have.
func plain(fd int, p []byte, write func(fd int, p []byte) (int, error)) (int, error) {
	return write(fd, p)
}

// say writes a line about the collector, which does not go to it.
func say(line string) { println(line) }
