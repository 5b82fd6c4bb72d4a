package libos

import "testing"

// TestLearn: what the network tells of names counts where the boot parameters say
// nothing, in files that are there already.
func TestLearn(t *testing.T) {
	t.Cleanup(func() { forget(); beforeResolver = nil })
	for _, c := range []struct{ params, resolv, host string }{
		{"ip=dhcp", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch a.test b.test\n", "web-7"},
		{"dns=9.9.9.9", "nameserver 9.9.9.9\nsearch a.test b.test\n", "web-7"},
		{"search=c.test hostname=mine", "nameserver 192.0.2.1\nnameserver 2001:db8::1\nsearch c.test\n", "mine"},
	} {
		reset(t)
		forget()
		boot(Params(c.params))
		asked := 0
		BeforeResolver(func() {
			if asked++; asked == 1 {
				Learn([]string{"192.0.2.1", "2001:db8::1"}, []string{"a.test", "b.test"}, "web-7")
			}
		})
		if got := readAll(t, "/etc/resolv.conf"); got != c.resolv {
			t.Errorf("%s: %q", c.params, got)
		}
		if got := readAll(t, "/etc/hostname"); got != c.host+"\n" {
			t.Errorf("%s: host name %q", c.params, got)
		}
		if got := readAll(t, "/proc/sys/kernel/hostname"); got != c.host+"\n" {
			t.Errorf("%s: the kernel's host name %q", c.params, got)
		}
		if got := readAll(t, "/etc/hosts"); got != "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 "+c.host+"\n" {
			t.Errorf("%s: hosts %q", c.params, got)
		}
		Learn([]string{"192.0.2.9"}, nil, "")
		if got := readAll(t, "/etc/resolv.conf"); asked != 2 || c.params == "ip=dhcp" && got != "nameserver 192.0.2.9\n" {
			t.Errorf("%s: then %q, asked %d times", c.params, got, asked)
		}
	}
}

// TestLearnAgain: what a program has made of the files stays, whatever it is, until
// something new is learned; a link or a folder of its own stays then, too.
func TestLearnAgain(t *testing.T) {
	t.Cleanup(forget)
	rename := func(from, to string) { must2(t)(sys(nr_rename, ptr(str(from)), ptr(str(to)))) }
	symlink := func(to, at string) { must2(t)(sys(nr_symlink, ptr(str(to)), ptr(str(at)))) }
	for name, c := range map[string]struct {
		change     func()
		path, want string // after something new
	}{
		"file":        {func() {}, "/etc/resolv.conf", "nameserver 192.0.2.9\n"},
		"link":        {func() { rename("/etc/resolv.conf", "/tmp/own"); symlink("/tmp/own", "/etc/resolv.conf") }, "/etc/resolv.conf", "own"},
		"etc":         {func() { rename("/etc", "/own") }, "/own/resolv.conf", "own"},
		"link of etc": {func() { rename("/etc", "/own"); symlink("/own", "/etc") }, "/etc/resolv.conf", "own"},
	} {
		reset(t)
		forget()
		boot("ip=dhcp")
		Learn([]string{"192.0.2.1"}, nil, "web-7")
		c.change()
		own := openTest(t, c.path, oWRONLY|oCREAT|oTRUNC)
		if _, err := fdFile(own).Write([]byte("own")); err != nil {
			t.Fatal(err)
		}
		fdFile(own).close(t)
		Learn([]string{"192.0.2.1"}, nil, "web-7") // renewed
		if got := readAll(t, c.path); got != "own" {
			t.Errorf("%s: after nothing new: %q", name, got)
		}
		Learn([]string{"192.0.2.9"}, nil, "web-8")
		if got := readAll(t, c.path); got != c.want {
			t.Errorf("%s: after something new: %q, want %q", name, got, c.want)
		}
		if got := readAll(t, "/proc/sys/kernel/hostname"); got != "web-8\n" {
			t.Errorf("%s: the kernel's host name %q", name, got)
		}
		if name == "etc" {
			if _, errno := sys(nr_newfstatat, cwd, ptr(str("/etc")), ptr(new(stat)), 0); errno != ENOENT {
				t.Errorf("/etc is there again: %d", errno)
			}
		}
	}
	// A name that the program gave itself stays while the network tells the same.
	reset(t)
	forget()
	boot("ip=dhcp")
	Learn(nil, nil, "web-7")
	sys(nr_sethostname, ptr(str("own")), 3)
	Learn(nil, nil, "web-7")
	if got := readAll(t, "/proc/sys/kernel/hostname"); got != "own\n" {
		t.Errorf("the program's own host name became %q", got)
	}
}

// forget has the network have told nothing.
func forget() { learned.dns, learned.search, learned.name = nil, nil, "" }
