package image

import (
	"errors"
	"fmt"

	"github.com/tailor-os/tailor/internal/hint"
)

// A Kind says which of a fixed set of things is wrong with an image. It is an
// error, so that errors.Is(err, image.Truncated) works, and its text is stable
// for use by scripts.
type Kind string

// Error returns the kind's text.
func (k Kind) Error() string { return string(k) }

// The kinds of errors that this package returns.
const (
	Unreadable    Kind = "unreadable"     // the file does not exist or reading it failed
	Empty         Kind = "empty"          // a file of no bytes
	Truncated     Kind = "truncated"      // the headers speak of bytes that are not there
	NotELF        Kind = "not-elf"        // a file of another kind
	NoNote        Kind = "no-note"        // an executable that tailor did not build
	BadNote       Kind = "bad-note"       // the note is damaged
	NewerFormat   Kind = "newer-format"   // made by a tailor that came after this one
	WrongABI      Kind = "wrong-abi"      // made for another version of package abi
	WrongArch     Kind = "wrong-arch"     // for another processor
	WrongTarget   Kind = "wrong-target"   // for another target than asked for
	UnknownDevice Kind = "unknown-device" // wants a device this tailor does not have
	Malformed     Kind = "malformed"      // headers or segments break a rule
	NoRoom        Kind = "no-room"        // AddNote found no place for the header
)

// An Error is what is wrong with one image.
type Error struct {
	Kind   Kind
	Path   string // the file, "" if the image was parsed from memory
	Detail string // what is wrong, where; reads on after the path
	Hint   string // what to do, may be ""
	Cause  error  // the system's error, nil if there is none
}

// Error returns what is wrong, without the hint: see package hint.
func (e *Error) Error() string {
	name := e.Path
	if name == "" {
		name = "image"
	}
	return name + " " + e.Detail
}

// Message returns what Error does, for a caller that prints the hint itself.
func (e *Error) Message() string { return e.Error() }

// Unwrap returns the kind, with which the hint travels, and the cause.
func (e *Error) Unwrap() []error {
	kind := hint.With(e.Kind, e.Hint)
	if e.Cause == nil {
		return []error{kind}
	}
	return []error{kind, e.Cause}
}

// The remedies that several errors share.
const (
	hintBuild      = "make an image with: tailor build -o <file>.img <package>"
	hintRunPackage = "to run a package, write its path with a leading ./"
	hintRebuild    = "rebuild it with: tailor build"
	hintCopy       = "copy it again, or rebuild it with: tailor build"
)

func fail(k Kind, remedy, format string, args ...any) *Error {
	return &Error{Kind: k, Hint: remedy, Detail: fmt.Sprintf(format, args...)}
}

// truncated reports that the file has size bytes where what needs end.
func truncated(size, end uint64, what string, args ...any) *Error {
	return fail(Truncated, hintCopy, "is truncated at byte %d: %s ends at byte %d",
		size, fmt.Sprintf(what, args...), end)
}

func withPath(err error, path string) error {
	var e *Error
	if errors.As(err, &e) && e.Path == "" {
		e.Path = path
	}
	return err
}
