package fusefs

import "strings"

// ParseMount takes apart what a boot parameter mount= says: TAG:PATH:KIND, with
// what is special in PATH as %XX. ok is false if it is not of that form.
func ParseMount(param string) (tag, path, kind string, ok bool) {
	tag, rest, ok1 := strings.Cut(param, ":")
	path, kind, ok2 := strings.Cut(rest, ":")
	path, ok3 := Unescape(path)
	return tag, path, kind, ok1 && ok2 && ok3 && tag != "" && path != "" && path[0] == '/'
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
			high, low := digit(s[i+1]), digit(s[i+2])
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

func digit(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
