package params

// This file imports nothing: a copy of it is laid into package runtime, which
// splits the command line of a virtio image before packages are initialized. It
// allocates nothing either.

// paramDevice begins the words that loaders append for virtio-mmio devices.
const paramDevice = "virtio_mmio.device="

// A paramWords is a command line of which some words have been taken.
type paramWords struct {
	line, devices string // what is left of it, and of the devices at its end
	program       bool   // the word -- has been taken
}

// paramsOf returns the words of line.
func paramsOf(line string) paramWords {
	n := paramTail(line)
	return paramWords{line: line[:n], devices: line[n:]}
}

// next takes the next word and returns it as it was written, with quotes. args
// is set if it is an argument of the program's. At the end, raw is empty.
func (w *paramWords) next() (raw string, args bool) {
	raw, w.line = paramCut(w.line)
	if raw == "--" && !w.program {
		w.program = true
		raw, w.line = paramCut(w.line)
	}
	if raw != "" {
		return raw, w.program
	}
	raw, w.devices = paramCut(w.devices)
	return raw, false
}

// paramCut splits line after its first word, which has its quotes still. Words
// have spaces between them, and control characters count as such.
func paramCut(line string) (raw, rest string) {
	start := 0
	for start < len(line) && line[start] <= ' ' {
		start++
	}
	n, quoted := start, false
	for ; n < len(line) && (quoted || line[n] > ' '); n++ {
		switch line[n] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted && n+1 < len(line) {
				n++ // what follows ends nothing, be it a quote
			}
		}
	}
	return line[start:n], line[n:]
}

// paramUnquote writes a word to dst without its quotes and returns the number
// of bytes, at most len(raw), for which there must be room. dst may be the bytes
// of raw itself. It returns -1 if a quote is left open.
func paramUnquote(dst []byte, raw string) int {
	to, quoted := 0, false
	for n := 0; n < len(raw); n++ {
		c := raw[n]
		if c == '"' {
			quoted = !quoted
			continue
		}
		if c == '\\' && quoted && n+1 < len(raw) && (raw[n+1] == '"' || raw[n+1] == '\\') {
			n++
			c = raw[n]
		}
		dst[to] = c
		to++
	}
	if quoted {
		return -1
	}
	return to
}

// paramTail returns where the devices that end line begin, which are the
// system's even after the program's arguments. With a quote, a word is none.
func paramTail(line string) int {
	tail := -1
	for rest := line; ; {
		raw, after := paramCut(rest)
		switch {
		case raw == "" && tail < 0:
			return len(line)
		case raw == "":
			return tail
		case !paramIsDevice(raw):
			tail = -1
		case tail < 0:
			tail = len(line) - len(after) - len(raw)
		}
		rest = after
	}
}

func paramIsDevice(raw string) bool {
	if len(raw) < len(paramDevice) || raw[:len(paramDevice)] != paramDevice {
		return false
	}
	for i := range len(raw) {
		if raw[i] == '"' {
			return false
		}
	}
	return true
}
