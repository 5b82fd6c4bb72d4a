package build

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The library OS of an image has the groups of system calls that the program
// can reach through the standard library's functions. A program that makes
// calls past those, by number or by golang.org/x/sys/unix, needs them all.

// gated matches what a program may use of package syscall without needing all
// groups: constants, types, and functions whose calls are in the group that is
// always there or in one that the function itself brings. What is not known is
// taken for one that needs all.
var gated = regexp.MustCompile(`^([A-Z][A-Z0-9]*(_[A-Za-z0-9_]*)?` +
	`|Errno|Signal|SysProcAttr|Stat_t|Statfs_t|Rusage|WaitStatus|Rlimit|Timespec|Timeval|Utsname|Credential|ProcAttr` +
	`|Conn|RawConn|Sockaddr|Sockaddr(Inet4|Inet6|Unix)|Linger|NsecToTimespec|NsecToTimeval` +
	`|Access|Chdir|Chmod|Chown|Creat|Lchown|Link|Lstat|Mkdir|Open|Openat|Readlink|Rename|Rmdir|Stat|Statfs|Symlink|Truncate|Unlink|Unlinkat|Utimes|UtimesNano` +
	`|Close|CloseOnExec|Dup|Dup2|Dup3|Fstat|Fsync|Fdatasync|Ftruncate|Flock|Pread|Pwrite|Read|Write|Seek|SetNonblock|ReadDirent` +
	`|Pipe|Pipe2|Mmap|Munmap|Exec|ForkExec|StartProcess|Wait4|Kill|Exit|Getwd` +
	`|Environ|Getenv|Setenv|Unsetenv|Clearenv|Getpagesize|Getpid|Getppid|Getuid|Geteuid|Getgid|Getegid|Getgroups|Getrusage|Getrlimit|Setrlimit|Uname` +
	`|BytePtrFromString|ByteSliceFromString|Get[sS]ockopt[A-Za-z0-9]*|Set[sS]ockopt[A-Za-z0-9]*)$`)

// systemCall matches the numbers of calls, which the constants include.
var systemCall = regexp.MustCompile(`^SYS_`)

// makesCalls reports whether one of the packages makes system calls past the
// functions of package syscall.
func makesCalls(pkgs []listed) bool {
	return slices.ContainsFunc(pkgs, func(p listed) bool {
		switch {
		case p.Standard:
			return false
		case p.ImportPath == "golang.org/x/sys/unix":
			return true
		case !slices.Contains(p.Imports, "syscall"):
			return false
		case len(p.SFiles) > 0:
			return true
		}
		return slices.ContainsFunc(p.GoFiles, func(name string) bool {
			return fileMakesCalls(filepath.Join(p.Dir, name))
		})
	})
}

// fileMakesCalls reads one Go file. One that cannot be read is the compiler's
// to complain about.
func fileMakesCalls(name string) bool {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	local := importName(file, "syscall")
	if local == "" {
		return false
	}
	if local == "." || linksSyscall(file) {
		return true
	}
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				found = found || !gated.MatchString(sel.Sel.Name) || systemCall.MatchString(sel.Sel.Name)
			}
		}
		return !found
	})
	return found
}

// importName returns the name by which a file knows a package, "" if it does
// not import it.
func importName(file *ast.File, pkg string) string {
	for _, spec := range file.Imports {
		if spec.Path.Value != strconv.Quote(pkg) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return pkg
	}
	return ""
}

// linksSyscall reports whether a directive of the file names a symbol of
// package syscall.
func linksSyscall(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname ") && strings.Contains(c.Text, " syscall.") {
				return true
			}
		}
	}
	return false
}
