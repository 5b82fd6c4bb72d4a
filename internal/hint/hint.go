// Package hint attaches to an error what its reader can do about it.
//
// Errors of the tool are printed on two lines: what is wrong, and the remedy.
// The code that knows the remedy is usually deep below the code that prints,
// so it travels with the error. Any error type takes part by having a method
// Hint() string.
package hint

import (
	"errors"
	"fmt"
)

// withHint is an error and its remedy.
type withHint struct {
	err    error
	remedy string
}

func (e *withHint) Error() string { return e.err.Error() }
func (e *withHint) Unwrap() error { return e.err }
func (e *withHint) Hint() string  { return e.remedy }

// Errorf returns an error formatted as by fmt.Errorf (including %w), with the
// given remedy: one line, lower case, no trailing period, best an exact
// command.
func Errorf(remedy, format string, args ...any) error {
	return &withHint{fmt.Errorf(format, args...), remedy}
}

// With returns err with a remedy. An err of nil stays nil, and one that has a
// remedy keeps its own: it comes from closer to the cause.
func With(err error, remedy string) error {
	if err == nil || Of(err) != "" {
		return err
	}
	return &withHint{err, remedy}
}

// Of returns the remedy that came with err, "" if there is none.
func Of(err error) string {
	var e interface{ Hint() string }
	if errors.As(err, &e) {
		return e.Hint()
	}
	return ""
}
