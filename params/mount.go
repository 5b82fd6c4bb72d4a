package params

// ParseMount reads what is to be seen where: NAME:PATH:KIND, with what is special
// in PATH, which is absolute, as %XX.
func ParseMount(value string) (name, path, kind string, ok bool) {
	name, rest := cutAt(value, ':')
	path, kind = cutAt(rest, ':')
	path, ok = Unescape(path)
	return name, path, kind, ok && name != "" && kind != "" && path != "" && path[0] == '/'
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
