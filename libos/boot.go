package libos

// defaultHost is the host name when the boot parameters give none.
const defaultHost = "tailor"

// hostName is what uname tells, "" until it is asked.
var hostName string

// bootParams are what [Boot] was given.
var bootParams Params

// fds are the descriptors of the program.
var fds = fdTable{limit: maxFDs}

func init() {
	locks.changed.L = &locks.mu
	fds.openConsole()
}

// makeRoot makes the root file system.
func makeRoot() {
	fs := newMemFS()
	memBudget = fs.held
	root := &mount{fs: fs, root: fs.root}
	files = vfs{mounts: []*mount{root}, cwd: place{root, fs.root}, umask: 0o022}
	for _, name := range []string{"dev", "etc", "proc", "root", "run", "tmp", "usr", "var"} {
		fs.root.subdir(name)
	}
	fs.root.subdir("usr").subdir("bin")
	fs.root.subdir("tmp").attr.Mode |= 0o1777
	fs.root.subdir("var").subdir("tmp").attr.Mode |= 0o1777
	makeDevices(fs.root.subdir("dev"))
}

// Boot sets the boot parameters. It is called once, before the program runs.
// What they say is read when it is first asked for: a program that needs no
// host name and no files does not pay for them.
func Boot(p Params) { bootParams, hostName = p, "" }

// host returns the host name.
func host() string {
	if hostName == "" {
		hostName = defaultHost
		if h := bootParams.Get("hostname"); h != "" && len(h) <= utsLength-1 {
			hostName = h
		}
	}
	return hostName
}

// fillRoot sets up of the files what depends on the boot parameters: /etc,
// /proc, and the share of memory that files may take. Keys it reads: hostname,
// ip, dns, search, exe.
func fillRoot(p Params) {
	fs := files.mounts[0].fs.(*memFS)
	fs.root.stamp(now())
	if total, _ := Hooks.Memory(); total > 0 {
		fs.held.limit = int64(total / 2)
	}
	etc := fs.root.subdir("etc")
	etc.write("hostname", host()+"\n")
	etc.write("hosts", hostsFile(p))
	etc.write("resolv.conf", resolvFile(p))
	etc.write("nsswitch.conf", "hosts: files dns\n")
	etc.write("passwd", "root:x:0:0:root:/root:/sbin/nologin\n")
	etc.write("group", "root:x:0:\n")
	proc := fs.root.subdir("proc")
	sys := proc.subdir("sys")
	sys.subdir("net").subdir("core").write("somaxconn", "4096\n")
	sys.subdir("fs").write("pipe-max-size", decimal(pipeSize)+"\n")
	exe := p.Get("exe")
	if exe == "" {
		exe = "/app"
	}
	self := proc.subdir("self")
	self.Unlink("exe", false)
	self.Create("exe", &Attr{Mode: ModeLink | 0o777}, exe)
	self.write("cmdline", commandLine())
	fs.addText(namedText{"/proc/sys/kernel/hostname", func() []byte { return []byte(host() + "\n") }})
	for _, t := range textFiles {
		fs.addText(t)
	}
}

// commandLine returns the arguments as /proc/self/cmdline has them.
func commandLine() (s string) {
	if Hooks.Args == nil {
		return ""
	}
	for _, arg := range Hooks.Args() {
		s += arg + "\x00"
	}
	return s
}

// hostsFile returns /etc/hosts. ip= may carry a card and a prefix length.
func hostsFile(p Params) string {
	s := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	static := false
	for _, addr := range p.All("ip") {
		if len(addr) > 5 && addr[:3] == "eth" {
			addr = addr[5:] // without the card, eth1:
		}
		if addr == "dhcp" || addr == "none" {
			continue
		}
		addr, _ = cut(addr, '/')
		s += addr + " " + host() + "\n"
		static = true
	}
	if !static {
		s += "127.0.1.1 " + host() + "\n"
	}
	return s
}

// resolvFile returns /etc/resolv.conf: what the boot parameters say or, of what
// they do not mention, the network.
func resolvFile(p Params) string {
	s := ""
	for _, addr := range orLearned(p.All("dns"), learned.dns) {
		s += "nameserver " + addr + "\n"
	}
	if list := orLearned(p.All("search"), learned.search); len(list) > 0 {
		s += "search"
		for _, name := range list {
			s += " " + name
		}
		s += "\n"
	}
	return s
}

// stamp sets the times of everything in d: it was made before the clock was
// known.
func (d *memDir) stamp(t Time) {
	d.attr.Atime, d.attr.Mtime, d.attr.Ctime = t, t, t
	for _, e := range d.order {
		a := &e.node.base().attr
		a.Atime, a.Mtime, a.Ctime = t, t, t
		if sub, ok := e.node.(*memDir); ok {
			sub.stamp(t)
		}
	}
}

// subdir returns the directory name in d, made if it was missing.
func (d *memDir) subdir(name string) *memDir {
	n, errno := d.Lookup(name)
	if errno != 0 {
		n, _ = d.Create(name, &Attr{Mode: ModeDir | 0o755}, "")
	}
	return n.(*memDir)
}

// write makes the file name in d with these contents, unless there is something
// else of that name: a program may have put it there.
func (d *memDir) write(name, contents string) {
	n, errno := d.Lookup(name)
	if errno != 0 {
		n, _ = d.Create(name, &Attr{Mode: ModeReg | 0o644}, "")
	}
	f, ok := n.(*memFile)
	if !ok {
		return
	}
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.truncate(0)
	f.writeAt([]byte(contents), 0)
}
