package libos

// Tracing prints a line for each system call when it returns, as strace does.
// None of it is in an image that was not built for it: see tracing.

// traceOn is set at boot by the parameter trace=syscalls.
var traceOn bool

// traced carries out a call and writes its line to standard error. What the
// program gives is read before the call, what the call gives after it.
func traced(num uintptr, a args) (uintptr, Errno) {
	spec := traceSpec(num)
	var text [6]string
	for n := range spec {
		if !isOutput(spec[n]) {
			text[n] = traceArg(spec[n], &a, n)
		}
	}
	if num == nr_exit || num == nr_exit_group {
		traceLine(num, &text, " = ?")
	}
	start := Hooks.Now()
	r, errno := perform(num, a)
	took := Hooks.Now() - start
	for n := range spec {
		if errno == 0 && isOutput(spec[n]) {
			text[n] = traceArg(spec[n], &a, n)
		}
	}
	result := traceResult(num, r, errno)
	if took >= traceSlow {
		result += " <" + seconds(took) + ">"
	}
	traceLine(num, &text, result)
	return r, errno
}

// traceSlow is the nanoseconds from which on a call's time is told.
const traceSlow = 1e6

// traceLine writes a line: the time since boot in seconds, the call, its result.
func traceLine(num uintptr, text *[6]string, result string) {
	name := CallName(num)
	if name == "" {
		name = "syscall_" + decimal(int64(num))
	}
	line := seconds(Hooks.Now()) + " " + name + "("
	first := true
	for _, s := range text {
		if s == "" {
			continue
		}
		if !first {
			line += ", "
		}
		line += s
		first = false
	}
	line += ")" + result + "\n"
	for b := []byte(line); len(b) > 0; {
		n := Hooks.ConsoleWrite(2, b)
		if n <= 0 {
			return
		}
		b = b[n:]
	}
}

// traceResult is what follows the arguments.
func traceResult(num, r uintptr, errno Errno) string {
	switch {
	case errno != 0:
		return " = -1 " + errnoName(errno)
	case num == nr_mmap || num == nr_mremap:
		return " = " + hex(uint64(r))
	}
	return " = " + decimal(int64(r))
}

// seconds writes nanoseconds with a microsecond's precision.
func seconds(ns int64) string {
	frac := decimal(ns / 1000 % 1e6)
	for len(frac) < 6 {
		frac = "0" + frac
	}
	return decimal(ns/1e9) + "." + frac
}

func decimal(v int64) string {
	if v < 0 {
		return "-" + digits(uint64(-v), 10)
	}
	return digits(uint64(v), 10)
}

func hex(v uint64) string { return "0x" + digits(v, 16) }

func digits(v uint64, base uint64) string {
	var b [20]byte
	n := len(b)
	for {
		n--
		b[n] = "0123456789abcdef"[v%base]
		if v /= base; v == 0 {
			return string(b[n:])
		}
	}
}

// maxQuoted is how many bytes of a path are shown.
const maxQuoted = 128

// quote writes s in double quotes.
func quote(s string) string {
	b, tail := []byte{'"'}, `"`
	if len(s) > maxQuoted {
		s, tail = s[:maxQuoted], `"...`
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '\\', 'x', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return string(b) + tail
}

func errnoName(e Errno) string {
	for i := range errnoNames {
		if errnoNames[i].errno == e {
			return errnoNames[i].name
		}
	}
	return "errno " + decimal(int64(e))
}
