package libos

// learned is what the network has told of names: name servers, search list and
// the host's own.
var learned struct {
	dns, search []string
	name        string
}

// beforeResolver is called before /etc/resolv.conf is opened; nil: nothing is.
var beforeResolver func()

// BeforeResolver sets a function that is called, and may park, before
// /etc/resolv.conf is opened. It is called before the program runs.
func BeforeResolver(f func()) { beforeResolver = f }

// Learn sets the name servers, the search list and the host name that the network
// tells; an empty name changes nothing. They count where the boot parameters say
// nothing. The files that have them are written anew if what is learned is new,
// and if the program has put nothing of its own in their place. The strings are
// such that they may stand in these files. One goroutine calls it at a time.
func Learn(dns, search []string, name string) {
	before := resolvFile(bootParams)
	learned.dns, learned.search = dns, search
	resolv := resolvFile(bootParams)
	named := name != "" && name != learned.name && name != host() && bootParams.Get("hostname") == ""
	if name != "" {
		learned.name = name
	}
	if named {
		hostName = name
	}
	if len(files.mounts) == 0 {
		return // they will be written when there are files
	}
	n, _ := files.mounts[0].fs.(*memFS).root.Lookup("etc")
	etc, ok := n.(*memDir)
	if !ok {
		return // the program has moved it away
	}
	if resolv != before {
		etc.write("resolv.conf", resolv)
	}
	if named {
		etc.write("hostname", name+"\n")
		etc.write("hosts", hostsFile(bootParams))
	}
}

func orLearned(given, learned []string) []string {
	if len(given) > 0 {
		return given
	}
	return learned
}
