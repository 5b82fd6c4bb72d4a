package syslog

// DataID names the structured data of attributes (SD-ID, RFC 5424 section 6.3.2).
// The number is that for documentation (RFC 5612), as Tailor has none of its own.
const DataID = "attrs@32473"

const maxName = 32 // RFC 5424 section 6.3.3: SD-NAME

// AppendParam appends an attribute to structured data, with a space before it
// (RFC 5424 section 6.3.3): of the name, what cannot be in one becomes "_" and
// what is more than 32 bytes is lost; of the value, what would end it has a
// backslash, and control characters are as in [AppendText].
func AppendParam(b []byte, name, value string) []byte {
	b = append(b, ' ')
	b = appendName(b, name)
	b = append(b, '=', '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\' || c == ']':
			b = append(b, '\\', c)
		case c < ' ' || c == 0x7f:
			b = AppendText(b, []byte{c})
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

func appendName(b []byte, name string) []byte {
	if name == "" {
		return append(b, '_')
	}
	for i := range min(len(name), maxName) {
		c := name[i]
		if c <= ' ' || c >= 0x7f || c == '=' || c == ']' || c == '"' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}
