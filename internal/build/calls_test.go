package build

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMakesCalls(t *testing.T) {
	tests := map[string]bool{
		`import "syscall"; var _ = syscall.SIGTERM`:                                                                                        false,
		`import "syscall"; var _ error = syscall.Errno(2); var _ = syscall.S_IFMT; var x syscall.Stat_t`:                                   false,
		`import "syscall"; func f() { syscall.Open("x", syscall.O_RDWR, 0); syscall.Mmap(0, 0, 0, 0, 0) }`:                                 false,
		`import "syscall"; func f() { syscall.Syscall(syscall.SYS_READ, 0, 0, 0) }`:                                                        true,
		`import "syscall"; func f() { syscall.RawSyscall6(1, 0, 0, 0, 0, 0, 0) }`:                                                          true,
		`import "syscall"; func f() { syscall.EpollCreate1(0) }`:                                                                           true,
		`import "syscall"; func f() { syscall.Select(0, nil, nil, nil, nil) }`:                                                             true,
		`import sc "syscall"; func f() { sc.Sysinfo(nil) }`:                                                                                true,
		`import sc "syscall"; type syscall struct{ Sysinfo int }; func f(syscall syscall) int { return syscall.Sysinfo + int(sc.SIGHUP) }`: false,
		`import . "syscall"; var _ = SIGTERM`:                                                                                              true,
		`import "os"; var syscall struct{ Syscall func() }; func f() { syscall.Syscall(); os.Exit(1) }`:                                    false,
		"import \"syscall\"\n//go:linkname raw syscall.rawSyscallNoError\nfunc raw()\nvar _ = syscall.SIGHUP":                              true,
	}
	for src, want := range tests {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.go"), []byte("package p\n"+src+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		pkg := listed{ImportPath: "example.com/p", Dir: dir, GoFiles: []string{"x.go"}, Imports: []string{"os", "syscall"}}
		if got := makesCalls([]listed{pkg}); got != want {
			t.Errorf("%s: %v", src, got)
		}
		pkg.Standard = true
		if makesCalls([]listed{pkg}) {
			t.Errorf("%s: true in the standard library", src)
		}
	}
	if !makesCalls([]listed{{ImportPath: "golang.org/x/sys/unix"}}) {
		t.Error("golang.org/x/sys/unix: false")
	}
	if !makesCalls([]listed{{ImportPath: "p", Imports: []string{"syscall"}, SFiles: []string{"a.s"}}}) {
		t.Error("assembly: false")
	}
}
