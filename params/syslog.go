package params

// SyslogSyntax is the form of a collector's address.
const SyslogSyntax = "udp|tcp|tls://HOST[:PORT]"

// ParseSyslog reads the address of a collector, scheme://host[:port], and returns
// the scheme, which is "udp", "tcp" or "tls", and host:port. An IPv6 address is
// in brackets. Ports default to those of RFC 5426 and RFC 5425, and to 514, which
// is usual for TCP (RFC 6587 section 3.2).
func ParseSyslog(v string) (scheme, address string, ok bool) {
	if len(v) < 7 || v[3:6] != "://" {
		return "", "", false
	}
	scheme, address = v[:3], v[6:]
	port := ":514"
	switch scheme {
	case "udp", "tcp":
	case "tls":
		port = ":6514"
	default:
		return "", "", false
	}
	host, rest := cutHost(address)
	if host == "" || rest != "" && !isPort(rest) {
		return "", "", false
	}
	if rest == "" {
		address += port
	}
	return scheme, address, true
}

// cutHost splits an address behind its host. The host is empty if it is none.
func cutHost(address string) (host, rest string) {
	end := len(address)
	bracket := address[0] == '['
	for i := range len(address) {
		c := address[i]
		switch {
		case c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == '?' || c == '#' || c == '[' && i > 0 || c == ']' && !bracket:
			return "", ""
		case bracket && c == ']':
			return addressIn(address[:i+1]), address[i+1:]
		case !bracket && c == ':' && end == len(address):
			end = i
		}
	}
	if bracket {
		return "", ""
	}
	return address[:end], address[end:]
}

// addressIn returns s, "" if there is nothing between its brackets.
func addressIn(s string) string {
	if len(s) < 4 {
		return ""
	}
	return s
}

// isPort reports whether s is a colon and a number from 1 to 65535.
func isPort(s string) bool {
	n := 0
	if s[0] != ':' || len(s) > 6 {
		return false
	}
	for i := 1; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n > 0 && n <= 65535
}

// facilities are those of RFC 5424 section 6.2.1, table 1, by the names that
// syslog.conf has for them, in order.
var facilities = [...]string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

const daemon = 3

// Facility returns the number of a facility, -1 for none that there is; nothing
// is "daemon".
func Facility(name string) int {
	if name == "" {
		return daemon
	}
	for i := range facilities {
		if facilities[i] == name {
			return i
		}
	}
	return -1
}

func isSyslog(v string) bool {
	_, _, ok := ParseSyslog(v)
	return ok
}

// isPrintable reports whether v is for a header of RFC 5424: printable ASCII
// without spaces.
func isPrintable(v string) bool {
	for i := range len(v) {
		if v[i] <= ' ' || v[i] >= 0x7f {
			return false
		}
	}
	return v != ""
}
