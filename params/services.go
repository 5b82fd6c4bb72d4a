package params

// linked are the names of the services that the program was built with, with commas
// between. The linker writes it, so that no package is compiled anew for what others
// bring.
var linked string

// Services returns the names of the services that the program was built with.
func Services() []string { return appendList(nil, linked) }

// These stand for whichever transport of syslog, and for whichever resolver.
const (
	anyLog      = "syslog+"
	anyResolver = "dns+"
)

// ServiceOf returns what a program must be built with for a parameter, NAME=VALUE
// without quotes, to have an effect: "metrics", "ntp", "syslog+tls" or "dns+tls",
// or "syslog+" or "dns+" for any that begins so; "" if it needs nothing.
func ServiceOf(word string) string {
	name, value := cut(word)
	switch {
	case name == "metrics" || name == "ntp":
		return name
	case name == "syslog":
		scheme, _, _ := ParseSyslog(value)
		return anyLog + scheme
	case hasPrefix(name, "syslog-"):
		return anyLog
	case name == "dns-cache":
		return anyResolver
	case hasPrefix(name, "dns-"):
		return anyResolver + "tls"
	}
	return ""
}

// OfProcess reports whether a parameter has an effect in a plain process, which is not
// booted and whose clock is the host's.
func OfProcess(word string) bool {
	s := ServiceOf(word)
	return s != "" && s != "ntp" || IsDisk(word)
}

// IsDisk reports whether a parameter, NAME=VALUE without quotes, is one for package
// disk, which reads those of a plain process itself.
func IsDisk(word string) bool {
	name, _ := cut(word)
	return name == "disk"
}

// BuildFlag returns the flag of tailor build that links a service.
func BuildFlag(service string) string {
	if hasPrefix(service, anyLog) {
		return "--log " + service
	}
	if hasPrefix(service, anyResolver) {
		return "--resolver " + service
	}
	return "--" + service
}

// Lacking returns the first of words, NAME=VALUE without quotes, that asks for a
// service which is not among those that a program has, and the service; "" for none.
func Lacking(words, has []string) (word, service string) {
next:
	for _, word := range words {
		service := ServiceOf(word)
		for _, s := range has {
			if s == service || (service == anyLog || service == anyResolver) && hasPrefix(s, service) {
				continue next
			}
		}
		switch service {
		case "":
			continue
		case anyLog:
			service += "tls"
		case anyResolver:
			service += "cache"
		}
		return word, service
	}
	return "", ""
}

// CheckServices returns an error for the first of words that asks for a service with
// which the program was not built.
func CheckServices(words []string) error {
	word, service := Lacking(words, Services())
	if service == "" {
		return nil
	}
	return Error("boot parameter " + Quote(word) + ": the program was built without " + service + "; rebuild it with: tailor build " + BuildFlag(service))
}

func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }
