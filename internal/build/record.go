package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/params"
)

// record is what the image's note says of its build. It has nothing of this machine:
// the same source gives the same record in any folder.
func (p *Plan) record(ctx context.Context) (*image.Build, error) {
	b := &image.Build{Source: p.source, Args: p.recordedArgs(), Env: p.recordedEnv()}
	var err error
	if b.Tool, err = port.SourceHash(); err != nil {
		return nil, err
	}
	b.Flags = p.Flags(func(f string) string { return p.portable(f) })
	if p.Target == Virtio {
		b.Flags = append(b.Flags, "-o", filepath.Base(p.Output)) // its name is in it
	}
	if p.files != nil {
		h := sha256.New()
		if err := p.files.Write(ctx, h); err != nil {
			return nil, err
		}
		b.Files = hex.EncodeToString(h.Sum(nil))[:32]
	}
	return b, nil
}

// Flags are those of tailor build that ask for what p is a plan for, whatever the
// defaults, the order and GOFLAGS were. source tells how the SRC of a --file is to be
// written.
func (p *Plan) Flags(source func(path string) string) (list []string) {
	c := &p.cfg
	pair := func(flag string, values ...string) {
		for _, v := range values {
			if v != "" {
				list = append(list, flag, v)
			}
		}
	}
	on := func(flag string, set bool) {
		if set {
			list = append(list, flag)
		}
	}
	if c.Target != HVT {
		pair("-t", c.Target)
	}
	if c.isDisk() {
		pair("--format", c.Format)
	}
	pair("--params", c.Params)
	pair("--tags", p.flags.tags)
	pair("--ldflags", p.flags.user)
	for _, s := range p.port.Services {
		list = append(list, strings.Fields(params.BuildFlag(s))...)
	}
	on("--dhcp", c.DHCP)
	on("--luks", c.LUKS)
	on("--volumes", c.Volumes)
	pair("--needs", c.Needs...) // in this order they are in the note
	on("--disks", c.AnyDisk)
	pair("--disk", c.Disks...)
	if c.TraceCalls {
		pair("--trace", "syscalls")
	}
	var files []string
	for _, f := range c.Files {
		files = append(files, source(f.Src)+":"+f.Dst)
	}
	slices.Sort(files)
	pair("--file", files...)
	return list
}

// portable names a file so that the name says nothing of where the source is: below
// the program's module, else by its last element alone.
func (p *Plan) portable(file string) string {
	if root := filepath.Dir(p.env.GOMOD); p.env.GOMOD != "" && within(file, root) {
		rel, _ := filepath.Rel(root, file)
		return "./" + filepath.ToSlash(rel)
	}
	return filepath.Base(file)
}

// recordedArgs are what tailor build takes besides flags; nil if it is the import
// path.
func (p *Plan) recordedArgs() (list []string) {
	switch {
	case p.src.files:
		for _, a := range p.cfg.Args {
			list = append(list, filepath.Base(a))
		}
	case p.pinned != "":
		list = []string{p.pinned}
	}
	return list
}

// lasting are the flags that GOFLAGS may have, besides those that become Tailor's own,
// that change the bytes of a program.
var lasting = []string{"gcflags", "asmflags", "pgo", "buildvcs", "buildmode"}

// recordedEnv is what of the environment has an effect, and is not in the linker's
// record.
func (p *Plan) recordedEnv() (list []string) {
	if f := lastingFlags(p.env.GOFLAGS); f != "" {
		list = append(list, "GOFLAGS="+f)
	}
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" && p.files != nil {
		list = append(list, "SOURCE_DATE_EPOCH="+epoch)
	}
	return list
}

// lastingFlags keeps those flags of a GOFLAGS that are in lasting.
func lastingFlags(goflags string) string {
	fields, _ := splitQuoted(goflags) // checkFlags has read it, if it is not a note's
	var keep []string
	for _, f := range fields {
		name, val, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		if name == "buildvcs" && (val == "false" || val == "0") || !slices.Contains(lasting, name) {
			continue
		}
		if name == "pgo" {
			val = path.Base(val)
		}
		keep = append(keep, quoteField("-"+name+"="+val))
	}
	return strings.Join(keep, " ")
}

// believed keeps of a note's environment what [Plan.recordedEnv] records. Who copies
// the command of a forged note is not to start another program by PATH or -toolexec.
func believed(env []string) (list []string) {
	for _, e := range env {
		name, val, _ := strings.Cut(e, "=")
		if name == "GOFLAGS" {
			val = lastingFlags(val)
		} else if name != "SOURCE_DATE_EPOCH" {
			continue
		}
		if val != "" {
			list = append(list, name+"="+val)
		}
	}
	return list
}

// Again returns the command that builds an image again, from its source, as a shell
// takes it, by what the image's note and the linker's record say, which counts more; ""
// if the note does not tell.
func Again(n *image.Note, info *debug.BuildInfo) string {
	if n == nil || n.Build == nil {
		return ""
	}
	var settings []debug.BuildSetting
	release := n.Go
	if info != nil {
		settings = info.Settings
		if r, _, _ := strings.Cut(info.GoVersion, " "); strings.HasPrefix(r, "go1") { // else it is no release
			release = r
		}
	}
	args := n.Build.Args
	if len(args) == 0 {
		args = []string{n.Main}
	}
	return AgainWith(n.Build, settings, release, args...)
}

// AgainWith is Again with a release of Go, "" for whichever there is, and other
// arguments. settings are the linker's record.
func AgainWith(b *image.Build, settings []debug.BuildSetting, release string, args ...string) string {
	var words []string
	if release != "" {
		words = []string{"GOTOOLCHAIN=" + release}
	}
	for _, s := range settings {
		if s.Key == "GOEXPERIMENT" || s.Key == "GOFIPS140" || s.Key == "GOAMD64" && s.Value != "v1" {
			words = append(words, s.Key+"="+s.Value)
		}
	}
	words = append(append(words, believed(b.Env)...), "tailor", "build")
	words = append(append(words, b.Flags...), args...)
	for i, w := range words {
		words[i] = quoteWord(w)
	}
	return strings.Join(words, " ")
}

// quoteWord is quote, but of NAME=VALUE the name stays a variable's, if it can be one.
func quoteWord(w string) string {
	name, val, ok := strings.Cut(w, "=")
	if ok && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" {
		return name + "=" + quote(val)
	}
	return quote(w)
}
