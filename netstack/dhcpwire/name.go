package dhcpwire

// Bounds of names (RFC 1035 section 2.3.4), and of how many are taken.
const (
	maxLabel = 63
	maxName  = 253

	// MaxNames is how many names [Names] returns at the most.
	MaxNames = 8
)

// Name returns b if it is a name, "" if not. Servers end some with zero
// bytes or a dot.
func Name(b []byte) string {
	for len(b) > 0 && (b[len(b)-1] == 0 || b[len(b)-1] == '.') {
		b = b[:len(b)-1]
	}
	label := 0
	for i, c := range b {
		switch {
		case c == '.' && label > 0:
			label = 0
			continue
		case !isNameByte(c), c == '-' && label == 0, label == maxLabel, i == maxName:
			return ""
		}
		label++
	}
	return string(b)
}

// isNameByte reports whether c may stand in a label: what host names have (RFC
// 1123 section 2.1), and the underscore of services.
func isNameByte(c byte) bool {
	l := c | 0x20
	return l >= 'a' && l <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// Names reads names with the compression of RFC 1035 section 4.1.4, as the
// search list has them (RFC 3397). It ends at the first that is malformed.
func Names(b []byte) (list []string) {
	for at := 0; at < len(b) && len(list) < MaxNames; {
		name, next := nameAt(b, at)
		if name = []byte(Name(name)); len(name) == 0 {
			break
		}
		list, at = append(list, string(name)), next
	}
	return list
}

// nameAt reads the name at b[at:] and returns where the next one begins. It is
// nil if there is none. A pointer leads only to what is before the name's
// latest part, so that there is an end.
func nameAt(b []byte, at int) (name []byte, next int) {
	for start := at; at < len(b); {
		n := int(b[at])
		switch {
		case n == 0:
			return name, max(next, at+1)
		case n <= maxLabel && at+1+n <= len(b) && len(name)+n <= maxName:
			name = append(append(name, b[at+1:at+1+n]...), '.')
			at += 1 + n
		case n >= 0xc0 && at+1 < len(b):
			to := n&0x3f<<8 | int(b[at+1])
			next = max(next, at+2)
			if to >= start {
				return nil, next
			}
			start, at = to, to
		default:
			return nil, next
		}
	}
	return nil, next
}
