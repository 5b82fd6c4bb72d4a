package libos

// Params are the system's boot parameters: words of the form key=value with
// spaces between them. A value in double quotes may have spaces; there is no
// escape character. A key given twice keeps the order; [Params.Get] returns
// the last.
type Params string

// next returns the first word as key and value, and the words after it. A word
// without "=" is a key without value. ok is false at the end.
func (p Params) next() (key, value string, rest Params, ok bool) {
	s := string(p)
	for s != "" && isSpace(s[0]) {
		s = s[1:]
	}
	if s == "" {
		return "", "", "", false
	}
	n, quoted := 0, false
	for n < len(s) && (quoted || !isSpace(s[n])) {
		if s[n] == '"' {
			quoted = !quoted
		}
		n++
	}
	key, value = cut(s[:n], '=')
	return key, unquote(value), Params(s[n:]), true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// cut splits s at the first c.
func cut(s string, c byte) (before, after string) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// unquote removes all double quotes.
func unquote(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		if s[i] != '"' {
			out = append(out, s[i])
		}
	}
	return string(out)
}

// Get returns the last value of key, "" if there is none.
func (p Params) Get(key string) string {
	found := ""
	for k, v, rest, ok := p.next(); ok; k, v, rest, ok = rest.next() {
		if k == key {
			found = v
		}
	}
	return found
}

// All returns the values of key in order; those with commas are split there.
func (p Params) All(key string) (list []string) {
	for k, v, rest, ok := p.next(); ok; k, v, rest, ok = rest.next() {
		for k == key && v != "" {
			var one string
			if one, v = cut(v, ','); one != "" {
				list = append(list, one)
			}
		}
	}
	return list
}
