package libos

import (
	"regexp"
	"strings"
	"testing"
)

// traceOf makes a call and returns what the trace says of it, without the time.
//
//go:uintptrescapes
func traceOf(t *testing.T, num uintptr, in ...uintptr) string {
	t.Helper()
	var out strings.Builder
	Hooks.ConsoleWrite = func(fd int, p []byte) int {
		if fd == 2 {
			out.Write(p)
		}
		return len(p)
	}
	var a args
	copy(a.i[:], in)
	convert(&a, pointerMask(num, a.i[0], a.i[1]))
	traced(num, a)
	line := regexp.MustCompile(`(?m)^\d+\.\d{6} `).ReplaceAllString(out.String(), "")
	return regexp.MustCompile(`(?m) <\d+\.\d{6}>$`).ReplaceAllString(line, "")
}

func TestTrace(t *testing.T) {
	reset(t)
	install(socketCalls)
	var pair [2]int32
	one := [16]byte{2, 0, 0, 80, 192, 0, 2, 1}
	for _, c := range []struct {
		want string
		num  uintptr
		args []uintptr
	}{
		{`openat(AT_FDCWD, "/etc/hosts", O_RDONLY|O_CLOEXEC) = 3`, nr_openat, []uintptr{cwd, ptr(str("/etc/hosts")), oCLOEXEC, 0o644}},
		{`read(3, 256) = 52`, nr_read, []uintptr{3, ptr(new([256]byte)), 256}},
		{`close(3) = 0`, nr_close, []uintptr{3}},
		{`openat(AT_FDCWD, "/no/\x0a\"", O_RDWR|O_CREAT|O_TRUNC, 0600) = -1 ENOENT`, nr_openat, []uintptr{cwd, ptr(str("/no/\n\"")), oRDWR | oCREAT | oTRUNC, 0o600}},
		{`close(-1) = -1 EBADF`, nr_close, []uintptr{^uintptr(0)}},
		{`pipe2([3, 4], O_CLOEXEC) = 0`, nr_pipe2, []uintptr{ptr(&pair), oCLOEXEC}},
		{`socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC|0x1000, 0) = -1 EINVAL`, nr_socket, []uintptr{1, 1 | sockCloexec | 0x1000, 0}},
		{`socket(AF_UNIX, SOCK_STREAM|SOCK_NONBLOCK, 0) = 5`, nr_socket, []uintptr{1, 1 | sockNonbl, 0}},
		{`connect(5, 192.0.2.1:80) = -1 EINVAL`, nr_connect, []uintptr{5, ptr(&one), 16}},
		{`connect(5, unix:"/x") = -1 ENOENT`, nr_connect, []uintptr{5, ptr(str("\x01\x00/x")), 4}},
		{`fcntl(5, F_GETFL, 0x0) = 2050`, nr_fcntl, []uintptr{5, fGETFL, 0}},
		{`mmap(0x0, 100, PROT_READ|PROT_EXEC, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = -1 EACCES`, nr_mmap, []uintptr{0, 100, 5, mapPrivate | mapAnonymous, ^uintptr(0), 0}},
		{`nanosleep(0.5s) = 0`, nr_nanosleep, []uintptr{ptr(&Time{0, 5}), 0}},
		{`ptrace(0x1, 0x2, 0x3) = -1 EPERM`, nr_ptrace, []uintptr{1, 2, 3}},
		{`syscall_5000(0x0, 0x0, 0x0) = -1 ENOSYS`, 5000, nil},
		{"exit_group(3) = ?\nexit_group(3) = -1 ENOSYS", nr_exit_group, []uintptr{3}},
	} {
		want := c.want
		got := strings.TrimSuffix(traceOf(t, c.num, c.args...), "\n")
		if strings.HasPrefix(want, "read(") {
			got = regexp.MustCompile(`= \d+`).ReplaceAllString(got, "= 52")
		}
		if got != want {
			t.Errorf("trace %q, want %q", got, want)
		}
	}
	if e := errnoName(EHOSTUNREACH); e != "EHOSTUNREACH" {
		t.Error(e)
	}
}

// Every call that is offered is shown with its arguments by kind.
func TestTraceSpecs(t *testing.T) {
	for num := range uintptr(maxCall + 1) {
		if offered(num) && traceSpec(num) == "xxx" {
			t.Errorf("%s has no line in traceSpecs", CallName(num))
		}
	}
}
