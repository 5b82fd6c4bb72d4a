package params

// ParseMount reads what is to be seen where: NAME:PATH:KIND, with what is special
// in PATH, which is absolute, as %XX.
func ParseMount(value string) (name, path, kind string, ok bool) {
	name, rest := cutAt(value, ':')
	path, kind = cutAt(rest, ':')
	path, ok = Unescape(path)
	return name, path, kind, ok && name != "" && kind != "" && path != "" && path[0] == '/'
}

// ParseDisk reads which disk a program is to have: NAME, or NAME:PATH in a plain
// process, where PATH is an absolute one of the host's with what is special as %XX;
// each with ":ro" at the end for one that is only read.
func ParseDisk(value string) (name, path string, readOnly, ok bool) {
	if n := len(value) - len(":ro"); n > 0 && value[n:] == ":ro" {
		value, readOnly = value[:n], true
	}
	name, place := cutAt(value, ':')
	path, ok = Unescape(place)
	ok = ok && name != "" && (len(name) == len(value) || path != "" && path[0] == '/')
	return name, path, readOnly, ok
}

// own lists folders of a virtual machine that nothing is put in place of. What is
// below those of the first four is its own too.
var own = [...]string{"/dev", "/proc", "/sys", "/run/secrets", "/", "/etc", "/run"}

// Own returns the folder of the machine's own that something at path, which is
// clean, would hide or be hidden by; "" if there is none. below reports whether
// what is below that is free. /tmp may be replaced by what can be written to.
func Own(path string, readOnly bool) (dir string, below bool) {
	for i, d := range own {
		below = i >= 4
		if path == d || !below && len(path) > len(d) && path[:len(d)+1] == d+"/" {
			return d, below
		}
	}
	if readOnly && path == "/tmp" {
		return path, true
	}
	return "", false
}

// cutAt splits s at the first c.
func cutAt(s string, c byte) (before, after string) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// Unescape replaces each %XX by the byte with that number.
func Unescape(s string) (string, bool) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			if i+2 >= len(s) {
				return "", false
			}
			high, low := hexDigit(s[i+1]), hexDigit(s[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			i += 2
		}
		out = append(out, c)
	}
	return string(out), true
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
