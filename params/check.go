package params

// A Param is a parameter of the system's.
type Param struct {
	Name   string
	Syntax string // of the value
	ok     func(string) bool
}

// Known lists the parameters that there are. The addresses' values are checked
// by the packages that use them, which are linked where they matter.
func Known() []Param { return known[:] }

var known = [...]Param{
	{"ip", "[CARD:]ADDRESS/BITS", some},
	{"gw", "[CARD:]ADDRESS", some},
	{"ip6", "[CARD:]ADDRESS/BITS", some},
	{"gw6", "[CARD:]ADDRESS", some},
	{"ip6-privacy", "temporary", func(v string) bool { return v == "temporary" }},
	{"dns", "ADDRESS[,ADDRESS]...", some},
	{"search", "DOMAIN[,DOMAIN]...", some},
	{"hostname", "NAME", IsHostname},
	{"mtu", "[CARD:]BYTES", isMTU},
	{"metrics", "[ADDRESS]:PORT", some},
	{"ntp", "SERVER[,SERVER]...", some},
	{"dns-cache", "ENTRIES", func(v string) bool { return Entries(v) >= 0 }},
	{"dns-tls", "ADDRESS[:PORT][#NAME][,...]", some},
	{"dns-pin", "BASE64[,BASE64]...", some},
	{"dns-roots", "FILE", isAbsolute},
	{"env", "NAME=VALUE", isVariable},
	{"trace", "syscalls", func(v string) bool { return v == "syscalls" }},
	{"verbose", "1", func(v string) bool { return v == "1" }},
	{"stall-warning", "MILLISECONDS", isMilliseconds},
	{"syslog", SyslogSyntax, isSyslog},
	{"syslog-facility", "NAME", func(v string) bool { return v != "" && Facility(v) >= 0 }},
	{"syslog-app", "NAME", isPrintable},
	{"syslog-format", "rfc5424|rfc3164", func(v string) bool { return v == "rfc5424" || v == "rfc3164" }},
	{"syslog-framing", "count|lines", func(v string) bool { return v == "count" || v == "lines" }},
	{"syslog-name", "NAME", isPrintable},
	{"syslog-roots", "FILE", isAbsolute},
	{"syslog-cert", "FILE", isAbsolute},
	{"syslog-key", "FILE", isAbsolute},
	{"virtio_mmio.device", "SIZE@ADDRESS:IRQ[:ID]", isDevice},
	{"control", "com2", func(v string) bool { return v == "com2" }},
	{"mount", "TAG:PATH:KIND", some},
	{"volume", "NAME:PATH:KIND", isVolume},
	{"disk", "NAME[:ro]", isDisk},
	{Defaults, "NAME[,NAME]...", some},
	{"empty", "PATH", some},
	{"cwd", "PATH", some},
	{"exe", "PATH", some},
}

// Ignored lists what loaders and habit add for Linux, and what is therefore let
// pass: whole names, and with a dot at the end all names that begin so.
func Ignored() []string { return ignored[:] }

var ignored = [...]string{
	"console", "earlycon", "earlyprintk", "loglevel", "quiet", "debug",
	"reboot", "panic", "pci", "acpi", "noapic", "nomodule", "nomodules", "swiotlb", "tsc", "clocksource", "random.",
	"8250.", "i8042.", "root", "rootfstype", "rootflags", "ro", "rw", "rootwait", "init", "initrd", "BOOT_IMAGE",
}

// Check returns an error for the first of words, NAME=VALUE without quotes, that
// is unknown or malformed. It names the word, and what there is.
func Check(words []string) error {
	for _, word := range words {
		if err := check(word); err != nil {
			return err
		}
	}
	return nil
}

func check(word string) error {
	name, value := cut(word)
	if isIgnored(name) {
		return nil
	}
	names := ""
	for i := range known {
		p := &known[i]
		if p.Name != name {
			names += " " + p.Name
			continue
		}
		if p.ok(value) {
			return nil
		}
		return Error("boot parameter " + Quote(word) + " is malformed: want " + name + "=" + p.Syntax)
	}
	return Error("boot parameter " + Quote(word) + " is unknown; known are:" + names)
}

func isIgnored(name string) bool {
	for _, s := range ignored {
		n := len(s)
		if s == name || s[n-1] == '.' && len(name) > n && name[:n] == s {
			return true
		}
	}
	return false
}

func isVolume(v string) bool {
	_, _, kind, ok := ParseMount(v)
	return ok && (kind == "ro" || kind == "rw")
}

func isDisk(v string) bool {
	_, _, _, ok := ParseDisk(v)
	return ok
}

func isAbsolute(v string) bool { return v != "" && v[0] == '/' }

func some(v string) bool { return v != "" }

func isVariable(v string) bool {
	name, _ := cut(v)
	return name != "" && len(name) < len(v)
}

// MaxCards is how many network cards a guest has at the most: eth0 to eth7.
const MaxCards = 8

// CutCard takes the card off a value of ip, ip6, gw, gw6 or mtu: eth1:192.0.2.5/24 is
// 192.0.2.5/24 of card 1. A value that names none that there can be is of card 0, eth0,
// and all of it is the rest.
func CutCard(v string) (n int, rest string) {
	if hasPrefix(v, "eth") && len(v) >= len("eth0:") && v[4] == ':' && v[3]-'0' < MaxCards {
		return int(v[3] - '0'), v[len("eth0:"):]
	}
	return 0, v
}

func isMTU(v string) bool {
	_, v = CutCard(v)
	return MTU(v) != 0
}

// Bounds of an MTU, in bytes: IPv6 needs 1280 (RFC 8200 section 5), and a
// packet's length field ends at 65535.
const (
	MinMTU = 1280
	MaxMTU = 65535
)

// MTU returns the number of bytes that v says, 0 if v is none that is possible.
func MTU(v string) int {
	n := 0
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' || n > MaxMTU {
			return 0
		}
		n = n*10 + int(v[i]-'0')
	}
	if n < MinMTU || n > MaxMTU {
		return 0
	}
	return n
}

// maxEntries bounds a cache of names: some 75 MB.
const maxEntries = 100_000

// Entries returns the number of answers that v, the value of dns-cache, says; -1 if it is
// none that is possible.
func Entries(v string) int {
	n := 0
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' || n > maxEntries {
			return -1
		}
		n = n*10 + int(v[i]-'0')
	}
	if v == "" || n > maxEntries {
		return -1
	}
	return n
}

// maxMilliseconds is some three months.
const maxMilliseconds = 8e9

func isMilliseconds(v string) bool {
	n := 0
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' || n > maxMilliseconds/10 {
			return false
		}
		n = n*10 + int(v[i]-'0')
	}
	return v != ""
}

// maxHostname is what struct utsname has room for, in bytes.
const maxHostname = 64

// IsHostname reports whether v is what RFC 1123 section 2.1 allows: labels of
// letters, digits and inner hyphens with dots between them.
func IsHostname(v string) bool {
	last := byte('.')
	for i := range len(v) {
		c := v[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		switch {
		case alnum:
		case c == '-' && last != '.':
		case c == '.' && last != '.' && last != '-':
		default:
			return false
		}
		last = c
	}
	return len(v) <= maxHostname && last != '.' && last != '-'
}

// isDevice reports whether v has the form of Linux's parameter
// (Documentation/admin-guide/kernel-parameters.txt): a size, "@", an address,
// ":", an interrupt, and perhaps ":" and a number that is not used.
func isDevice(v string) bool {
	at, colons := -1, 0
	for i := range len(v) {
		c := v[i] | 0x20
		switch {
		case v[i] == '@' && at < 0 && i > 0:
			at = i
		case v[i] == ':' && at >= 0 && v[i-1] != '@' && v[i-1] != ':':
			colons++
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c == 'x', at < 0 && (c == 'k' || c == 'm'):
		default:
			return false
		}
	}
	return colons >= 1 && colons <= 2 && v[len(v)-1] != ':'
}
