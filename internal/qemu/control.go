package qemu

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The control channel is a serial port. The guest writes a line "exit N" before
// it ends, and before that a line "memory" if it did not get all that it asked for; the host writes one byte for each signal, its number, and 0
// once standard input has ended and the guest has been given all of it.
const endOfInput = 0

// maxLine is how long a line of the guest's may be, in bytes.
const maxLine = 64

// readExit reads the guest's exit code from the control channel. It is not ok if
// the channel ends without a word. What is neither is an error.
func readExit(r io.Reader) (e exitCode) {
	in := bufio.NewReaderSize(r, maxLine)
	line, err := in.ReadSlice('\n')
	if e.outOfMemory = string(line) == "memory\n"; e.outOfMemory {
		line, err = in.ReadSlice('\n')
	}
	if len(line) == 0 {
		return e
	}
	word, found := strings.CutPrefix(string(line), "exit ")
	digits := strings.TrimRight(word, "\r\n")
	n, bad := strconv.ParseUint(digits, 10, 8)
	if err != nil || !found || bad != nil {
		e.err = fmt.Errorf("the guest wrote %.32q to the control channel instead of its exit code", line)
		return e
	}
	e.code, e.ok = int(n), true
	return e
}
