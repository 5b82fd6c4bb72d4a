// Package quietlog takes the place of gvisor.dev/gvisor/pkg/log in images,
// where a packet that is dropped is no news. The original brings encoding/json,
// regexp and a formatter into every image; this one throws away everything but
// reports of bugs, which go to the runtime's own print.
//
// It offers what the TCP/IP packages use of the original and nothing else.
package quietlog

import "time"

// Level is a log level of the original; none is logged.
type Level uint32

// The original's levels.
const (
	Warning Level = iota
	Info
	Debug
)

// A Logger is the original's interface without its AtDepth methods.
type Logger interface {
	Debugf(format string, v ...any)
	Infof(format string, v ...any)
	Warningf(format string, v ...any)
	IsLogging(level Level) bool
}

type quiet struct{}

func (quiet) Debugf(string, ...any)   {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warningf(string, ...any) {}
func (quiet) IsLogging(Level) bool    { return false }

// Log returns the logger that throws everything away.
func Log() Logger { return quiet{} }

// BasicRateLimitedLogger returns a logger that throws everything away.
func BasicRateLimitedLogger(time.Duration) Logger { return quiet{} }

// Debugf does nothing.
func Debugf(string, ...any) {}

// Infof does nothing.
func Infof(string, ...any) {}

// Warningf does nothing.
func Warningf(string, ...any) {}

// IsLogging reports false.
func IsLogging(Level) bool { return false }

// Traceback does nothing.
func Traceback(string, ...any) {}

// BugTraceback reports a bug of the TCP/IP stack.
func BugTraceback(err error) { println("tailor: TCP/IP stack:", err.Error()) }

// BugTracebackOnce is BugTraceback; the original tells each only once.
func BugTracebackOnce(err error) { BugTraceback(err) }
