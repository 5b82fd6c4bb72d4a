package inventory

import (
	"path"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/anatomy"
)

// A pattern names functions: an import path, one with /... for all below, a
// pattern of files (ending in .go or .s) as package path has them, or, behind
// "func ", the name of one function.
type pattern string

func (p pattern) matches(pkg, file, name string) bool {
	s := string(p)
	if fn, ok := strings.CutPrefix(s, "func "); ok {
		return fn == name
	}
	if strings.HasSuffix(s, ".go") || strings.HasSuffix(s, ".s") {
		ok, _ := path.Match(s, file)
		return ok
	}
	if below, ok := strings.CutSuffix(s, "/..."); ok {
		return pkg == below || strings.HasPrefix(pkg, below+"/")
	}
	return pkg == s
}

func anyMatches(list []pattern, pkg, file, name string) bool {
	return slices.ContainsFunc(list, func(p pattern) bool { return p.matches(pkg, file, name) })
}

// An implementation is one way in which a service can be there.
type implementation struct {
	text string
	// where is "vm", "virtio" or "unix", as [Report].Kind; "" for all.
	where string
	// signs are what must be linked: one of them at least.
	signs []pattern
	// data, if not "", is the file that must have constants.
	data string
}

// A service is what an operating system would do for a program.
type service struct {
	name  string
	kind  string // "service" or "driver"
	owns  []pattern
	impls []implementation // the first that is there counts
}

// The kinds of what is described: where it runs.
const (
	kindVM     = "vm"     // hvt and spt
	kindVirtio = "virtio" // other hypervisors
	kindUnix   = "unix"   // a plain process
)

var libosAlways = []pattern{"Tailor/libos"}

// known are all services, in the order in which they are shown. Of what
// two of them own, the first has the bytes.
var known = []service{
	{"console", "service", []pattern{"runtime/tailor_console.go", "runtime/tailor_serial*.go", "Tailor/libos/console.go"}, []implementation{
		{"virtio console, of the starter's", kindVM, []pattern{"runtime/tailor_console.go"}, ""},
		{"virtio console; serial port where there is none", kindVirtio, []pattern{"runtime/tailor_console.go"}, ""},
		{"the process's standard descriptors", kindUnix, []pattern{"os", "runtime"}, ""},
	}},
	{"clock", "service", []pattern{"runtime/tailor_clock*.go", "Tailor/libos/timecalls.go"}, []implementation{
		{"the time stamp counter and the starter's clock page", kindVM, []pattern{"Tailor/libos/timecalls.go"}, ""},
		{"the time stamp counter; KVM's clock, or the battery-backed one", kindVirtio, []pattern{"Tailor/libos/timecalls.go"}, ""},
		{"the host's clock (vDSO)", kindUnix, []pattern{"runtime"}, ""},
	}},
	{"entropy", "service", []pattern{"Tailor/entropy", "Tailor/virtio/rngdev"}, []implementation{
		{"ChaCha20, seeded by the processor and a virtio entropy device", kindVirtio, []pattern{"Tailor/entropy"}, ""},
		{"ChaCha20, seeded by the processor and the starter", kindVM, []pattern{"Tailor/entropy"}, ""},
		{"the host's getrandom", kindUnix, []pattern{"runtime"}, ""},
	}},
	{"interrupts and profiles", "service", []pattern{"runtime/tailor_interrupt*.go", "runtime/tailor_interrupt*.s", "runtime/tailor_signal.go", "runtime/tailor_diagnostics.go"}, []implementation{
		{"of the starter's", kindVM, []pattern{"runtime/tailor_interrupt*.s"}, ""},
		{"the serial channel and the local APIC's timer", kindVirtio, []pattern{"runtime/tailor_interrupt*.s"}, ""},
		{"the host's signals and timers", kindUnix, []pattern{"runtime"}, ""},
	}},
	{"system call tracer", "service", []pattern{"Tailor/libos/trace*.go"}, []implementation{
		{"of the library OS (--trace syscalls)", "", []pattern{"Tailor/libos/trace.go"}, ""},
	}},
	{"file tree", "service", []pattern{"Tailor/libos/mem*.go", "Tailor/libos/dircalls.go", "Tailor/libos/walk.go", "Tailor/libos/open.go", "Tailor/libos/vfs.go", "Tailor/libos/overlay.go", "Tailor/libos/mounts.go", "Tailor/libos/textfile.go", "Tailor/libos/devices.go", "Tailor/libos/sharedmap.go"}, []implementation{
		{"files in memory", kindVM, []pattern{"Tailor/libos/memfs.go"}, ""},
		{"files in memory", kindVirtio, []pattern{"Tailor/libos/memfs.go"}, ""},
		{"the host's files", kindUnix, []pattern{"os"}, ""},
	}},
	{"files of the image", "service", []pattern{"Tailor/boot/files"}, []implementation{
		{"the archive of --file, mapped read-only", "", []pattern{"Tailor/boot/files"}, ""},
	}},
	{"shared folders", "service", []pattern{"Tailor/boot/shares", "Tailor/libos/fusefs"}, []implementation{
		{"a FUSE client over virtio-fs", "", []pattern{"Tailor/boot/shares"}, ""},
	}},
	{"encrypted volumes", "service", []pattern{"Tailor/block/crypt/...", "Tailor/boot/volumes/luks/...", "crypto/subtle/tailor_*.go", "crypto/subtle/tailor_*.s"}, []implementation{
		{"LUKS 1, AES-XTS", "", []pattern{"Tailor/block/crypt"}, ""},
	}},
	{"volumes", "service", []pattern{"Tailor/boot/volumes/...", "Tailor/block/..."}, []implementation{
		{"block devices and partitions", "", []pattern{"Tailor/boot/volumes"}, ""},
	}},
	{"disks", "service", []pattern{"Tailor/libos/blockfile"}, []implementation{
		{"block devices as files of the program's", "", []pattern{"Tailor/libos/blockfile"}, ""},
	}},
	{"ext4", "service", []pattern{"Tailor/volume/ext4", "Tailor/libos/extfs"}, []implementation{
		{"a file system on a volume, read and write", "", []pattern{"Tailor/volume/ext4"}, ""},
	}},
	{"tar", "service", []pattern{"Tailor/volume/tarfs", "Tailor/libos/tarmount"}, []implementation{
		{"a tar on a volume, read-only", "", []pattern{"Tailor/volume/tarfs"}, ""},
	}},
	{"addresses", "service", []pattern{"Tailor/netstack/dhcp4", "Tailor/netstack/dhcp6", "Tailor/netstack/dhcpwire", "Tailor/netstack/dhcp.go", "Tailor/netstack/dhcp6.go", "Tailor/netstack/slaac.go", "Tailor/netstack/conflict.go"}, []implementation{
		{"DHCP for IPv4 and IPv6, and router advertisements", "", []pattern{"Tailor/netstack/dhcp4"}, ""},
	}},
	{"metrics", "service", []pattern{"Tailor/boot/scrape", "Tailor/metrics", "Tailor/netstack/figures.go"}, []implementation{
		{"HTTP, in Prometheus' text format (--metrics)", "", []pattern{"Tailor/boot/scrape"}, ""},
	}},
	{"time servers", "service", []pattern{"Tailor/boot/timesync", "Tailor/ntp"}, []implementation{
		{"NTP sets the clock (--ntp)", kindVirtio, []pattern{"Tailor/boot/timesync"}, ""},
		{"NTP, compared with the host's clock (--ntp)", kindVM, []pattern{"Tailor/boot/timesync"}, ""},
	}},
	{"network", "service", []pattern{"Tailor/netstack/...", "Tailor/boot/network", "Tailor/gvisor/...", "Tailor/btree", "Tailor/time/rate", "Tailor/exp/..."}, []implementation{
		{"TCP/IP in the image (gVisor's)", "", []pattern{"Tailor/netstack"}, ""},
		{"the host's sockets", kindUnix, []pattern{"net"}, ""},
	}},
	{"local sockets (AF_UNIX)", "service", []pattern{"Tailor/libos/unix*.go"}, []implementation{
		{"of the library OS", "", []pattern{"Tailor/libos/unixconn.go"}, ""},
		{"the host's", kindUnix, []pattern{"net"}, ""},
	}},
	{"DNS over TLS", "service", []pattern{"Tailor/names/dot", "Tailor/boot/names/tls"}, []implementation{
		{"RFC 7858, the servers verified (--resolver dns+tls)", "", []pattern{"Tailor/boot/names/tls"}, ""},
	}},
	{"DNS cache", "service", []pattern{"Tailor/names", "Tailor/boot/names", "net/tailor_resolver.go"}, []implementation{
		{"between Go's resolver and its servers (--resolver)", "", []pattern{"Tailor/boot/names"}, ""},
	}},
	{"DNS resolver", "service", []pattern{"net/dns*.go", "net/lookup*.go", "net/conf.go", "net/hosts.go", "net/nss.go", "vendor/golang.org/x/net/dns/dnsmessage"}, []implementation{
		{"Go's own, asking the servers of the boot parameters", kindVM, []pattern{"net/dnsclient_unix.go"}, ""},
		{"Go's own, asking the servers of the boot parameters", kindVirtio, []pattern{"net/dnsclient_unix.go"}, ""},
		{"Go's own, asking the servers of the host's resolv.conf", kindUnix, []pattern{"net/dnsclient_unix.go"}, ""},
	}},
	{"log by syslog over TLS", "service", []pattern{"Tailor/logs/tls"}, []implementation{
		{"RFC 5425, the collector verified (--log syslog+tls)", "", []pattern{"Tailor/logs/tls"}, ""},
	}},
	{"log by syslog over TCP", "service", []pattern{"Tailor/logs/tcp"}, []implementation{
		{"RFC 6587, by counts or lines (--log syslog+tcp)", "", []pattern{"Tailor/logs/tcp"}, ""},
	}},
	{"log by syslog over UDP", "service", []pattern{"Tailor/logs/udp"}, []implementation{
		{"RFC 5426, a datagram each (--log syslog+udp)", "", []pattern{"Tailor/logs/udp"}, ""},
	}},
	{"log", "service", []pattern{"Tailor/logs/...", "Tailor/boot/logs", "syscall/tailor_console.go"}, []implementation{
		{"console, and RFC 5424 or 3164 to a collector", "", []pattern{"Tailor/boot/logs"}, ""},
	}},
	{"TLS", "service", []pattern{"crypto/tls/..."}, []implementation{
		{"Go's crypto/tls", "", []pattern{"func crypto/tls.(*Conn).HandshakeContext", "func crypto/tls.(*Conn).handshakeContext"}, ""},
	}},
	{"CA roots", "service", []pattern{"crypto/x509/tailor_roots.go", "Tailor/boot/roots"}, []implementation{
		{"Mozilla's, in the image", "", []pattern{"crypto/x509/tailor_roots.go"}, "crypto/x509/tailor_roots.go"},
		{"the host's files", kindUnix, []pattern{"func crypto/x509.loadSystemRoots"}, ""},
	}},
	{"time zones", "service", []pattern{"Tailor/zones", "time/tzdata"}, []implementation{
		{"the toolchain's zone data, in the image", "", []pattern{"Tailor/zones", "time/tzdata"}, ""},
		{"the host's files", kindUnix, []pattern{"func time.LoadLocation"}, ""},
	}},
	{"finding devices", "driver", []pattern{"Tailor/boot/platform", "Tailor/boot/acpi", "Tailor/virtio/transport", "Tailor/virtio/mmio", "Tailor/virtio/pci"}, []implementation{
		{"virtio-mmio, virtio-pci and ACPI", "", []pattern{"Tailor/boot/platform"}, ""},
	}},
	{"virtio network", "driver", []pattern{"Tailor/virtio/netdev"}, []implementation{
		{"virtio-net", "", []pattern{"Tailor/virtio/netdev"}, ""},
	}},
	{"virtio block", "driver", []pattern{"Tailor/virtio/blkdev"}, []implementation{
		{"virtio-blk", "", []pattern{"Tailor/virtio/blkdev"}, ""},
	}},
	{"virtio file system", "driver", []pattern{"Tailor/virtio/fsdev", "Tailor/virtio/fuse"}, []implementation{
		{"virtio-fs", "", []pattern{"Tailor/virtio/fsdev"}, ""},
	}},
	{"virtqueues", "driver", []pattern{"Tailor/virtio", "Tailor/virtio/queue", "Tailor/virtio/request", "Tailor/boot/event"}, []implementation{
		{"split rings", "", []pattern{"Tailor/virtio/queue"}, ""},
	}},
	{"machine", "driver", []pattern{"runtime/tailor_*.go", "runtime/tailor_*.s"}, []implementation{
		{"boot, traps, event loop, memory", "", []pattern{"runtime/tailor_kernel.go"}, ""},
		{"none: Linux", kindUnix, []pattern{"runtime"}, ""},
	}},
	{"system calls", "service", []pattern{"Tailor/libos", "Tailor/params", "Tailor/boot/parameters", "Tailor/linked", "Tailor/abi"}, []implementation{
		{"calls of functions in the library OS", "", libosAlways, ""},
		{"the host's kernel", kindUnix, []pattern{"syscall", "internal/runtime/syscall/linux"}, ""},
	}},
}

// implementationOf returns what of s is linked, nil for nothing.
func (s *service) implementationOf(kind string, p *anatomy.Program) *implementation {
	for i := range s.impls {
		impl := &s.impls[i]
		if impl.where != "" && impl.where != kind || !hasFunction(p, impl.signs) {
			continue
		}
		if impl.data == "" || hasConstants(p, impl.data) {
			return impl
		}
	}
	return nil
}

func hasFunction(p *anatomy.Program, signs []pattern) bool {
	return slices.ContainsFunc(p.Functions, func(f anatomy.Function) bool {
		return anyMatches(signs, f.Package, f.File, f.Name)
	})
}

func hasConstants(p *anatomy.Program, file string) bool {
	for o := range p.Sizes {
		if o.Part == anatomy.Constants && o.File == file {
			return true
		}
	}
	return false
}

// owner returns the index of the service that has what is in the file of the
// package, -1 for none.
func owner(pkg, file string) int {
	return slices.IndexFunc(known, func(s service) bool { return anyMatches(s.owns, pkg, file, "") })
}
