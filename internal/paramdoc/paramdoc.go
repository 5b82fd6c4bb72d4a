// Package paramdoc says what the boot parameters of package params mean: tailor
// help parameters and docs/parameters.md are written from its table.
package paramdoc

import (
	"fmt"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/params"
)

// A doc is what a person wants to know of a parameter.
type doc struct {
	name    string
	meaning string
	example string
	flag    string // of tailor run that sets it, "" if --param does
	own     bool   // written by tailor for itself
}

var docs = []doc{
	{name: "ip", meaning: "IPv4 address of a network card with the length of its network; dhcp to find it, and IPv6 addresses unless ip6 is given; none for none (default: dhcp in images that have it, unless ip6 is given)", example: "10.0.2.15/24", flag: "--ip"},
	{name: "gw", meaning: "IPv4 router, in the network of the card's ip", example: "10.0.2.2", flag: "--gateway"},
	{name: "ip6", meaning: "IPv6 address of a network card with the length of its network", example: "fd00::15/64", flag: "--ip"},
	{name: "gw6", meaning: "IPv6 router, in the network of the card's ip6 or link-local", example: "fe80::2", flag: "--gateway"},
	{name: "ip6-privacy", meaning: "connect from IPv6 addresses that change each day (RFC 8981), where addresses are found; what listens keeps a stable one, too", example: "temporary"},
	{name: "dns", meaning: "name servers, in order of preference; may come again", example: "10.0.2.3,9.9.9.9", flag: "--dns"},
	{name: "search", meaning: "domains that resolv.conf names for short names", example: "example.com"},
	{name: "hostname", meaning: "what os.Hostname returns: letters, digits, hyphens, dots, at most 64 (default tailor)", example: "web-1"},
	{name: "mtu", meaning: "largest packet of a network card, 1280 to 65535 bytes (default: what the device says, else 1500)", example: "1400"},
	{name: "metrics", meaning: "where to serve figures to Prometheus, if the image was built with --metrics", example: ":9090", flag: "--metrics"},
	{name: "ntp", meaning: "time servers, addresses or names, if the image was built with --ntp (default: those of DHCP)", example: "192.0.2.1,pool.ntp.org", flag: "--ntp"},
	{name: "dns-cache", meaning: "answers that are kept, up to 100000, 0 for none, in images built with --resolver (default 1000)", example: "200"},
	{name: "dns-tls", meaning: "name servers that are asked over TLS, and no others, if the image was built with --resolver dns+tls: address, port (default 853) and the name in their certificate (default: the address)", example: "9.9.9.9#dns.quad9.net", flag: "--dns-tls"},
	{name: "dns-pin", meaning: "SHA-256 of the public keys, in base64, of which those servers must have one; without a #NAME their certificate need not be signed by anybody then", example: "4/mggdVx8A3pvHAWW5sD+qJyMtUHgiRuPjVC48N0XrM="},
	{name: "dns-roots", meaning: "file of PEM certificates that those servers' are verified by (default: /run/secrets/dns-roots.pem if it is there, else the system's)", example: "/etc/ssl/dns.pem"},
	{name: "env", meaning: "a variable of the program's environment; may come again", example: "GREETING=hi", flag: "-e"},
	{name: "trace", meaning: "a line on standard error for each system call, if the image was built with --trace syscalls", example: "syscalls", flag: "--trace"},
	{name: "verbose", meaning: "say what the machine is and what was found", example: "1", flag: "-v"},
	{name: "stall-warning", meaning: "warn once when a goroutine computes for that many milliseconds while all others wait, with target virtio; 0 for never (default 1000)", example: "500", flag: "--stall-warning"},
	{name: "syslog", meaning: "collector that the program's log goes to, in images with its transport (--log); ports 514, 514 and 6514 if none is given", example: "tls://10.0.0.1:6514", flag: "--syslog"},
	{name: "syslog-facility", meaning: "facility of the messages: kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock, local0 to local7 (default daemon)", example: "local0"},
	{name: "syslog-app", meaning: "name of the program in messages (default: its file's, without suffix)", example: "website"},
	{name: "syslog-format", meaning: "format of the messages (default rfc5424)", example: "rfc3164"},
	{name: "syslog-framing", meaning: "how tcp tells messages apart: by a count before each, or by lines (default count)", example: "lines"},
	{name: "syslog-name", meaning: "name in the collector's certificate (default: the host in syslog=)", example: "logs.example.com"},
	{name: "syslog-roots", meaning: "file of PEM certificates that the collector's is verified by (default: /run/secrets/syslog-roots.pem if it is there, else the system's)", example: "/etc/ssl/logs.pem"},
	{name: "syslog-cert", meaning: "file with the program's own certificate for the collector (default: /run/secrets/syslog-cert.pem if it is there)", example: "/etc/ssl/web-1.pem"},
	{name: "syslog-key", meaning: "file with the key of that certificate (default: /run/secrets/syslog-key.pem)", example: "/etc/ssl/web-1.key"},
	{name: "virtio_mmio.device", meaning: "where a virtio-mmio device is: as Linux reads it, appended by QEMU microvm and Firecracker", example: "4K@0xd0001000:5", own: true},
	{name: "control", meaning: "serial port through which tailor run -t qemu gets the exit code and sends signals", example: "com2", own: true},
	{name: "mount", meaning: "a shared folder: tag of its device, path as %XX, ro, rw or overlay", example: "share0:/src:overlay", own: true},
	{name: "volume", meaning: "a volume to mount: name of its block device, path as %XX, ro or rw", example: "data:/data:rw", own: true},
	{name: "disk", meaning: "a block device to show as /dev/disk/by-id/virtio-NAME; with :ro it is only read; in a plain process NAME:PATH[:ro], a file or device of the host's, path as %XX; may come again", example: "data:ro", flag: "--disk"},
	{name: "defaults", meaning: "parameters that tailor run chose by itself: a volume's count more", example: "ip,gw,dns,eth1:ip", own: true},
	{name: "empty", meaning: "a folder of a share that is to look empty, path as %XX", example: "/usr/local/go/bin", own: true},
	{name: "cwd", meaning: "the working directory, path as %XX", example: "/src/pkg", own: true},
	{name: "exe", meaning: "what os.Executable returns", example: "/tmp/pkg.test", own: true},
}

const grammar = `Boot parameters are words on the command line that a loader gives an image:
-append of QEMU, boot_args of Firecracker, --cmdline of Cloud Hypervisor. tailor
run writes them itself; --param NAME=VALUE adds one that has no flag of its own.

    ip=10.0.2.15/24 gw=10.0.2.2 env=GREETING=hi -- -flag "an argument"

- Words have spaces between them. Double quotes keep spaces in a word; between
  them, \" is a quote and \\ a backslash. Outside, a backslash is one.
- Words before a word -- are the system's, NAME=VALUE. Words after it are the
  program's arguments, as they are.
- Unquoted words virtio_mmio.device=... at the very end are the system's even
  after --, because loaders append them. Quoted, they are arguments.
- Of a name given twice, the last one counts, unless it may come again.
- ip, gw, ip6, gw6 and mtu are of the first network card, eth0, or of the one
  before the value, and the last one counts of each: ip=eth1:198.51.100.5/24.
- An unknown or malformed parameter ends the boot with an error that names it.
`

func ignored() string {
	var names []string
	for _, n := range params.Ignored() {
		if strings.HasSuffix(n, ".") {
			n += "*"
		}
		names = append(names, n)
	}
	return strings.Join(names, ", ")
}

// setBy says how a parameter is set with tailor run.
func (d doc) setBy() string {
	switch {
	case d.own:
		return "tailor itself"
	case d.flag != "":
		return d.flag
	}
	return "--param"
}

// Text returns the list for a terminal.
func Text() string {
	var b strings.Builder
	b.WriteString(grammar + "\nParameters:\n")
	for i := range docs {
		b.WriteString(entry(i))
	}
	b.WriteString("\nWhat loaders and habit add for Linux is ignored:\n" + wrap(ignored(), 76))
	return b.String()
}

// entry is what Text shows of parameter i.
func entry(i int) string {
	p, d := params.Known()[i], docs[i]
	return fmt.Sprintf("  %s=%s\n      %s\n      such as %s=%s (set by %s)\n", p.Name, p.Syntax, d.meaning, p.Name, d.example, d.setBy())
}

// List returns the entries of those parameters that users set and a program knows.
func List(knows func(name string) bool) string {
	var b strings.Builder
	for i, d := range docs {
		if !d.own && knows(d.name) {
			b.WriteString(entry(i))
		}
	}
	return b.String()
}

// wrap breaks text into indented lines of at most width bytes.
func wrap(text string, width int) string {
	out, line := "", " "
	for _, word := range strings.Fields(text) {
		if len(line)+1+len(word) > width {
			out, line = out+line+"\n", " "
		}
		line += " " + word
	}
	return out + line + "\n"
}

// Markdown returns docs/parameters.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Boot parameters\n\nWritten by `go test ./internal/paramdoc -update`; `tailor help parameters` shows the same.\n\n" + grammar +
		"\n| parameter | meaning | example | set by |\n| --- | --- | --- | --- |\n")
	for i, p := range params.Known() {
		d := docs[i]
		fmt.Fprintf(&b, "| `%s=%s` | %s | `%s=%s` | %s |\n", p.Name, strings.ReplaceAll(p.Syntax, "|", "\\|"), d.meaning, p.Name, d.example, d.setBy())
	}
	b.WriteString("\nWhat loaders and habit add for Linux is ignored: " + ignored() + ".\n")
	return b.String()
}

// Parse checks NAME=VALUE, which a user wants to set: a parameter that exists, has
// an effect, is well-formed and has no flag of its own.
func Parse(word string) (string, error) {
	if err := params.Check([]string{word}); err != nil {
		return "", hint.With(err, "see: tailor help parameters")
	}
	name, _, _ := strings.Cut(word, "=")
	for _, d := range docs {
		switch {
		case d.name != name:
		case d.own:
			return "", fmt.Errorf("boot parameter %s is set by tailor itself", name)
		case d.flag != "":
			return "", hint.Errorf("use "+d.flag, "boot parameter %s has a flag of its own", name)
		default:
			return word, nil
		}
	}
	return "", hint.Errorf("leave it out", "boot parameter %s is Linux's and has no effect", name)
}
