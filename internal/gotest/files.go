package gotest

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A Kind says how a guest sees a folder of the host.
type Kind int

const (
	// Look shows the folder; what the guest changes stays in its own memory.
	Look Kind = iota
	// Named shows the folder, in which the guest may write the named files.
	Named
	// Write lets the guest change everything in the folder.
	Write
)

// A Share is a folder of the host in the guest.
type Share struct {
	Dir   string // on the host, absolute
	Path  string // in the guest, absolute
	Kind  Kind
	Names []string // for Named, relative to Dir
}

// A Host is what decides which of the host's folders a test sees.
type Host struct {
	Dir        string   // the folder it runs in, absolute
	Binary     string   // the test binary, absolute
	Home       string   // the user's home folder, never shared as a whole; "" if there is none
	GOROOT     []string // of the toolchain, and links to it
	GOMODCACHE string   // "" if not known
}

// A View is how a test is started in the guest.
type View struct {
	Args   []string // of the test
	Shares []Share  // a later one may be inside an earlier one
}

// outputRoot is where output files are in the guest whose folder cannot be at
// its own path, because the test sees that with its own changes.
const outputRoot = "/run/tailor/"

// outputs are the flags of a test binary that name a file to be written.
var outputs = words(`
	test.blockprofile test.coverprofile test.cpuprofile test.memprofile
	test.mutexprofile test.testlogfile test.trace`)

// NewView decides what a test with the arguments args sees: the module or
// workspace that it belongs to, the Go tree and the modules, to look at; the
// files that its flags name, to write.
func NewView(h Host, args []string) View {
	var v View
	for _, dir := range append(slices.Clone(h.GOROOT), h.GOMODCACHE) {
		v.look(dir)
	}
	v.look(Root(h.Dir, h.Home))
	// The binary's folder is go test's, and has nothing else in it.
	if dir := filepath.Dir(h.Binary); !v.sees(dir) && isGoBuild(dir) {
		v.Shares = append(v.Shares, Share{Dir: dir, Path: dir, Kind: Named})
	}
	v.Args = slices.Clone(args)
	out := h.Dir
	for _, arg := range args {
		if dir, ok := strings.CutPrefix(arg, "-test.outputdir="); ok && dir != "" {
			out = in(h.Dir, dir)
		}
	}
	for i, arg := range args {
		if arg == "--" || arg == "-args" {
			break
		}
		v.Args[i] = v.output(h, arg, out)
	}
	return v
}

// output makes room for what the flag arg names and returns the flag for the
// guest.
func (v *View) output(h Host, arg, outputDir string) string {
	name, value, ok := strings.Cut(arg, "=")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "-"), "-")
	switch {
	case !ok || value == "":
		return arg
	case outputs[name]:
		base := outputDir
		if name == "test.testlogfile" {
			base = h.Dir
		}
		return "-" + name + "=" + v.file(in(base, value))
	case name == "test.gocoverdir":
		return "-" + name + "=" + v.folder(in(h.Dir, value))
	}
	return arg
}

// file makes the file at path writable and returns its path in the guest.
func (v *View) file(path string) string {
	dir, name := filepath.Split(path)
	dir = filepath.Clean(dir)
	for i := range v.Shares {
		if s := &v.Shares[i]; s.Kind == Named && s.Dir == dir {
			if !slices.Contains(s.Names, name) {
				s.Names = append(s.Names, name)
			}
			return filepath.Join(s.Path, name)
		}
	}
	s := Share{Dir: dir, Path: v.place(dir), Kind: Named, Names: []string{name}}
	v.Shares = append(v.Shares, s)
	return filepath.Join(s.Path, name)
}

// folder makes the folder dir writable and returns its path in the guest.
func (v *View) folder(dir string) string {
	s := Share{Dir: dir, Path: v.place(dir), Kind: Write}
	v.Shares = append(v.Shares, s)
	return s.Path
}

// place returns where an output folder is in the guest: at its own path, unless
// something else is there.
func (v *View) place(dir string) string {
	if isGoBuild(dir) && !v.sees(dir) {
		return dir
	}
	return outputRoot + strconv.Itoa(len(v.Shares))
}

// isGoBuild reports whether dir belongs to go test, and is no folder in which a
// test might make files of its own, as TMPDIR is.
func isGoBuild(dir string) bool { return strings.Contains(dir, "/go-build") }

// look shows a folder, unless an earlier share does.
func (v *View) look(dir string) {
	if dir != "" && !v.sees(dir) {
		v.Shares = append(v.Shares, Share{Dir: dir, Path: dir})
	}
}

// sees reports whether a share to look at shows dir at its own path.
func (v *View) sees(dir string) bool {
	return slices.ContainsFunc(v.Shares, func(s Share) bool {
		return s.Kind == Look && within(dir, s.Dir)
	})
}

func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// in returns path as seen from dir.
func in(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// Root returns the folder that a test in dir may look at: that of its
// workspace (go.work), else of its module (go.mod), else dir itself; dir also
// if that would be the root folder or hold the user's home folder.
func Root(dir, home string) string {
	root := dir
	for d := dir; ; d = filepath.Dir(d) {
		if d == "/" || home != "" && within(home, d) {
			return root
		}
		if isFile(filepath.Join(d, "go.mod")) && root == dir {
			root = d
		}
		if isFile(filepath.Join(d, "go.work")) {
			return d
		}
	}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
