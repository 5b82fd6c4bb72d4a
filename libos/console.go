package libos

// A consoleFile is one of the standard descriptors. It is a FIFO to fstat, as
// in `cmd | program | cat`: a character device would be taken for a terminal.
type consoleFile struct{ fd int }

func (c consoleFile) Read(p []byte) (int, Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	return Hooks.ConsoleRead(p), 0
}

func (c consoleFile) Write(p []byte) (int, Errno) {
	if len(p) == 0 {
		return 0, 0
	}
	n := Hooks.ConsoleWrite(c.fd, p)
	if n <= 0 {
		return 0, EIO
	}
	return n, 0
}

func (c consoleFile) Close() Errno { return 0 }

func (c consoleFile) fileMode() uint32 { return ModeFIFO | 0o600 }

// openConsole makes descriptors 0, 1 and 2.
func (t *fdTable) openConsole() {
	t.add(newDesc(consoleFile{0}, oRDONLY), 0, false)
	t.add(newDesc(consoleFile{1}, oWRONLY), 0, false)
	t.add(newDesc(consoleFile{2}, oWRONLY), 0, false)
}
