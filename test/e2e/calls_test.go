package e2e

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/vmtest"
)

// An image has the system calls, and of the runtime the diagnostics, that its
// program can reach. Each of these reaches one group, by the way that is likeliest
// to be overlooked.
var reaching = map[string]struct{ imports, body, stdout string }{
	"pipe": {`"fmt" "os"`, `
		r, w, err := os.Pipe()
		fmt.Println(err)
		go func() { fmt.Fprint(w, "through"); w.Close() }()
		var b [20]byte
		n, err := r.Read(b[:])
		fmt.Println(string(b[:n]), err)`, "<nil>\nthrough <nil>\n"},
	"readdir": {`"fmt" "os"`, `
		list, err := os.ReadDir("/dev")
		fmt.Println(len(list) > 3, list[0].Name(), err)`, "true full <nil>\n"},
	"root": {`"fmt" "os"`, `
		root, err := os.OpenRoot("/etc")
		fmt.Println(err)
		b, err := root.ReadFile("group")
		fmt.Print(string(b), err, "\n")
		_, err = root.Open("../dev/null")
		fmt.Println(err)`, "<nil>\nroot:x:0:\n<nil>\nopenat ../dev/null: path escapes from parent\n"},
	"getwd": {`"fmt" "os"`, `
		dir, err := os.Getwd()
		fmt.Println(dir, err)
		name, err := os.Hostname()
		fmt.Println(name, err)`, "/ <nil>\ntailor <nil>\n"},
	"standard descriptors": {`"fmt" "os"`, `
		info, err := os.Stdout.Stat()
		fmt.Println(info.Mode(), err)
		fmt.Println(os.Stdout.Sync())
		_, err = os.Stdout.Seek(0, 0)
		fmt.Println(err)
		fmt.Println(os.Stdout.Truncate(0))
		_, err = os.Stdout.ReadDir(0)
		fmt.Println(err)
		_, err = os.Stdin.ReadAt(make([]byte, 1), 0)
		fmt.Println(err)
		fmt.Println(os.Stdin.Close(), os.Stdin.Close())`, `prw------- <nil>
sync /dev/stdout: invalid argument
seek /dev/stdout: illegal seek
truncate /dev/stdout: invalid argument
readdirent /dev/stdout: not a directory
read /dev/stdin: illegal seek
<nil> close /dev/stdin: file already closed
`},
	"exec": {`"fmt" "os" "os/exec"`, `
		fmt.Println(exec.Command("/bin/true").Run())
		_, err := os.StartProcess("/etc/group", []string{"x"}, &os.ProcAttr{})
		fmt.Println(err)`, "fork/exec /bin/true: function not implemented\nfork/exec /etc/group: function not implemented\n"},
	"no network": {`"fmt" "syscall"`, `
		_, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		fmt.Println(err)
		fmt.Println(syscall.Listen(1, 1))`, "address family not supported by protocol\nsocket operation on non-socket\n"},
	"signal": {`"fmt" "os" "os/signal" "syscall"`, `
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1)
		fmt.Println(syscall.Kill(syscall.Getpid(), syscall.SIGUSR1))
		fmt.Println(<-c)`, "<nil>\nuser defined signal 1\n"},
	"signal that nothing is done about": {`"fmt" "syscall"`, `
		for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGPIPE, syscall.SIGALRM, syscall.SIGCHLD, syscall.SIGCONT, 40} {
			fmt.Println(syscall.Kill(syscall.Getpid(), s))
		}`, "<nil>\n<nil>\n<nil>\n<nil>\n<nil>\n<nil>\n"},
	"other users": {`"fmt" "syscall"`, `
		fmt.Println(syscall.Setuid(0), syscall.Setegid(0), syscall.Setuid(1))
		_, _, errno := syscall.AllThreadsSyscall(syscall.SYS_PRCTL, 8, 1, 0)
		kept, _, _ := syscall.RawSyscall(syscall.SYS_PRCTL, 7, 0, 0)
		fmt.Println(errno, kept)`, "<nil> <nil> operation not permitted\nerrno 0 1\n"},
	"arguments": {`"fmt" "os"`, `
		b, err := os.ReadFile("/proc/self/cmdline")
		fmt.Println(string(b) == os.Args[0]+"\x00", err)`, "true <nil>\n"},
	"heap dump": {`"bytes" "fmt" "os" "runtime/debug"`, `
		keep := bytes.Repeat([]byte("findme!!"), 400_000)
		f, err := os.Create("/tmp/dump")
		debug.WriteHeapDump(f.Fd())
		b, err2 := os.ReadFile("/tmp/dump")
		fmt.Println(bytes.HasPrefix(b, []byte("go1.7 heap dump\n")), bytes.Contains(b, keep), err, err2)`, "true true <nil> <nil>\n"},
	"named pipe": {`"fmt" "io" "os" "syscall"`, `
		fmt.Println(syscall.Mkfifo("/tmp/pipe", 0o600))
		go func() {
			w, err := os.OpenFile("/tmp/pipe", os.O_WRONLY, 0)
			fmt.Fprint(w, "through the pipe, ", err)
			w.Close()
		}()
		r, err := os.Open("/tmp/pipe")
		b, err2 := io.ReadAll(r)
		fmt.Println(string(b), err, err2)`, "<nil>\nthrough the pipe, <nil> <nil> <nil>\n"},
	"mmap": {`"fmt" "os" "syscall"`, `
		b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		fmt.Println(len(b), err)
		fmt.Println(syscall.Munmap(b))
		f, err := os.Open("/etc/group")
		fmt.Println(err)
		b, err = syscall.Mmap(int(f.Fd()), 0, 10, syscall.PROT_READ, syscall.MAP_PRIVATE)
		fmt.Println(string(b), err)`, "4096 <nil>\n<nil>\n<nil>\nroot:x:0:\n <nil>\n"},
	"by number": {`"fmt" "syscall"`, `
		fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, 0, 0)
		fmt.Println(fd, errno)
		epfd, err := syscall.EpollCreate1(0)
		fmt.Println(epfd, err)`, "3 errno 0\n4 <nil>\n"},
	"local time": {`"fmt" "time"`, `
		fmt.Println(time.Unix(0, 0).Local().Format(time.DateOnly))`, "1970-01-01\n"},
	"trace": {`"bytes" "fmt" "runtime/trace"`, `
		var b bytes.Buffer
		fmt.Println(trace.Start(&b))
		c := make(chan int)
		go func() { c <- 1 }()
		<-c
		trace.Stop()
		fmt.Println(b.Len() > 500, bytes.HasPrefix(b.Bytes(), []byte("go 1.")))`, "<nil>\ntrue true\n"},
	"trace without its package": {`"fmt" "runtime"`, `
		fmt.Println(runtime.StartTrace())
		runtime.StopTrace()`, "runtime error: tracing needs an import of runtime/trace\n"},
	"metrics": {`"fmt" "runtime/metrics"`, `
		s := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/godebug/non-default-behavior/panicnil:events"}}
		metrics.Read(s)
		fmt.Println(s[0].Value.Uint64() > 0, s[1].Value.Uint64(), len(metrics.All()) > 50)`, "true 0 true\n"},
	"heap profile": {`"bytes" "fmt" "runtime" "runtime/pprof"`, `
		runtime.MemProfileRate = 1
		keep := make([]byte, 1<<20)
		runtime.GC()
		var b bytes.Buffer
		fmt.Println(pprof.Lookup("heap").WriteTo(&b, 1))
		fmt.Println(bytes.Contains(b.Bytes(), []byte("main.main")), len(keep))`, "<nil>\ntrue 1048576\n"},
	"unix sockets": {`"fmt" "io" "net" "os"`, `
		l, err := net.Listen("unix", "/tmp/s")
		fmt.Println(l.Addr(), err)
		go func() {
			c, _ := l.Accept()
			io.Copy(c, c)
			c.Close()
			l.Close()
		}()
		c, err := net.Dial("unix", "/tmp/s")
		fmt.Fprint(c, "echo")
		c.(*net.UnixConn).CloseWrite()
		b, err := io.ReadAll(c)
		fmt.Println(string(b), err)
		_, err = os.Stat("/tmp/s")
		fmt.Println(os.IsNotExist(err))
		_, err = net.Dial("unixgram", "@nobody")
		fmt.Println(err)`, "/tmp/s <nil>\necho <nil>\ntrue\ndial unixgram @nobody: connect: connection refused\n"},
	"shared mapping": {`"fmt" "os" "syscall"`, `
		f, _ := os.Create("/tmp/f")
		f.WriteString("before")
		b, err := syscall.Mmap(int(f.Fd()), 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
		fmt.Println(len(b), err)
		f.WriteAt([]byte("AFTER."), 0)
		f.Truncate(1 << 19)
		f.WriteAt([]byte("end"), 1<<19)
		b[100] = '!'
		var c [1]byte
		f.ReadAt(c[:], 100)
		fmt.Println(string(b[:6]), string(b[1<<19:][:3]), string(c[:]), syscall.Munmap(b))`, "1048576 <nil>\nAFTER. end ! <nil>\n"},
	"calls that grow the stack": {`"fmt" "net" "sync"`, `
		l, _ := net.Listen("tcp", "127.0.0.1:0")
		var all sync.WaitGroup
		for range 50 {
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				fmt.Println(err)
			}
			all.Go(func() { // fcntl, by an instruction of the runtime's assembly
				f, err := c.(*net.TCPConn).File()
				if err != nil {
					fmt.Println(err)
				}
				f.Close()
				c.Close()
			})
		}
		all.Wait()
		fmt.Println("done")`, "done\n"},
	"random": {`"crypto/rand" "fmt"`, `
		fmt.Println(len(rand.Text()))`, "26\n"},
}

func TestCallGroups(t *testing.T) { each(t, testCallGroups, ownSystem, computing) }

func testCallGroups(t *testing.T, on target) {
	for name, p := range reaching {
		t.Run(name, func(t *testing.T) {
			r := on.run(t, "-v", reachingImage(t, on, name))
			if r.code != 0 || r.stdout != p.stdout {
				t.Errorf("exit code %d, stdout %q, not %q, stderr:\n%s", r.code, r.stdout, p.stdout, r.stderr)
			}
			if name != "exec" && strings.Contains(r.stderr, "is not supported") {
				t.Errorf("a call is missing:\n%s", r.stderr)
			}
		})
	}
	t.Run("x/sys", func(t *testing.T) {
		r := on.run(t, on.image(t, "./testdata/unixcalls"))
		if want := "poll 1 1\nmmap 8192 <nil>\nstat true\nfcntl <nil>\n"; r.code != 0 || r.stdout != want {
			t.Errorf("exit code %d, stdout %q, not %q, stderr:\n%s", r.code, r.stdout, want, r.stderr)
		}
	})
}

// reachingImage builds the image of a program of reaching, once.
func reachingImage(t *testing.T, on target, name string) string {
	t.Helper()
	dir := filepath.Join(vmtest.Dir(), "reaching", strings.ReplaceAll(name, " ", "-"))
	p := reaching[name]
	write(t, dir, map[string]string{
		"go.mod":  "module example.com/reach\n\ngo 1.26\n",
		"main.go": "package main\n\nimport (\n" + strings.ReplaceAll(p.imports, " ", "\n") + "\n)\n\nfunc main() {" + p.body + "\n}\n",
	})
	return on.image(t, dir)
}

// A trace shows what the program does, and nothing of it is in an image that was
// not built for it.
func TestTrace(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		r := on.run(t, "--trace", "syscalls", "./testdata/unixcalls")
		if r.code != 0 || !strings.HasPrefix(r.stdout, "poll 1 1\n") {
			t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.code, r.stdout, r.stderr)
		}
		for _, line := range []string{" ppoll(1) = 1", " mmap(0x0, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = 0x"} {
			if !strings.Contains(r.stderr, line) {
				t.Errorf("the trace has no line %q:\n%s", line, r.stderr)
			}
		}
	}, ownSystem, computing)
	img := targetHVT(t).image(t, "../../examples/hello")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "--trace", "syscalls", img}, "rebuild it with: tailor build --trace syscalls"},
		{[]string{"run", "-t", "unix", "--trace", "syscalls", "../../examples/hello"}, "strace -f"},
		{[]string{"run", "--trace", "disk", "../../examples/hello"}, "write --trace syscalls"},
	} {
		if _, stderr, code := runIn(t, ".", nil, c.args...); code != 125 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, stderr:\n%s", c.args, code, stderr)
		}
	}
}

// A SYSCALL instruction of a module's own is answered by the library OS.
func TestRawCalls(t *testing.T) {
	each(t, func(t *testing.T, on target) {
		on.run(t, on.image(t, "./testdata/rawcalls"), "39").want(t, 0, []string{"result 1\n", "x/sys 1 0 0 0 0\n"}, nil)
	}, ownSystem)
}
