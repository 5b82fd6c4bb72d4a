package build

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/internal/ring0"
)

// Run does what the plan says. On failure no output is left behind, and what
// was there before is untouched.
func (p *Plan) Run(ctx context.Context) (*Result, error) {
	e, err := cache.Lock(ctx, filepath.Join(p.cfg.CacheDir, cache.Builds, p.key))
	if err != nil {
		return nil, err
	}
	defer e.Close()
	tmp := filepath.Join(e.Dir, "tmp")
	defer os.RemoveAll(tmp)
	if p.Target != Unix {
		p.findLicences() // beside the compiler
	}
	var overlay string
	for _, a := range p.Actions {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		if p.cfg.Trace != nil && a.Argv == nil {
			p.cfg.Trace(a.String())
		}
		switch a.Kind {
		case KindOverlay:
			overlay, err = port.Prepare(ctx, p.port)
		case KindCompile:
			err = p.compile(ctx, tmp, a, overlay)
		case KindNote:
			err = p.addNote(ctx, a)
		case KindCopy:
			err = copyFile(a.Inputs[0], a.Outputs[0])
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return p.result()
}

// compile runs go build with its output passed on as it is, and its temporary files in
// the folder tmp. If a process was
// killed while it wrote the output, go build takes what is there for up to
// date; then it is made again.
func (p *Plan) compile(ctx context.Context, tmp string, a Action, overlay string) error {
	if err := p.goBuild(ctx, tmp, a, overlay); err != nil {
		return err
	}
	if checkWhole(a.Outputs[0]) == nil {
		return nil
	}
	if err := os.Remove(a.Outputs[0]); err != nil {
		return err
	}
	if err := p.goBuild(ctx, tmp, a, overlay); err != nil {
		return err
	}
	return checkWhole(a.Outputs[0])
}

func (p *Plan) goBuild(ctx context.Context, tmp string, a Action, overlay string) error {
	args := slices.Clone(a.Argv[1:])
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], overlayVar, overlay)
	}
	// An interrupted go build leaves its temporary files, so they go where
	// they will be removed.
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	c := command{
		path: a.Argv[0], args: args, dir: a.Dir, env: append(slices.Clone(a.Env), "GOTMPDIR="+tmp),
		stdout: p.cfg.Stderr, stderr: p.cfg.Stderr,
	}
	err := c.run(ctx, p.cfg.Trace)
	if err == nil {
		return nil
	}
	os.Remove(a.Outputs[0]) // it may be half written
	if ctx.Err() != nil {
		return err
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("run %s: %w", a.Argv[0], err)
	}
	failed := fmt.Errorf("%w: %s does not compile (%v)", ErrFailed, p.Package, err)
	if users := p.g.cgoUsers(ctx, p.src); len(users) > 0 {
		return hint.With(failed, "uses cgo, which is off because an image holds no C: "+strings.Join(users, ", "))
	}
	return failed
}

// checkWhole returns an error unless the executable's sections are in the file.
func checkWhole(file string) error {
	f, err := elf.Open(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	for _, s := range f.Sections {
		if s.Type != elf.SHT_NOBITS && s.Offset+s.FileSize > uint64(info.Size()) {
			return fmt.Errorf("%s: section %s lies beyond its end", file, s.Name)
		}
	}
	return nil
}

// addNote makes the image of the linker's output.
func (p *Plan) addNote(ctx context.Context, a Action) error {
	elf, err := os.ReadFile(a.Inputs[0])
	if err != nil {
		return err
	}
	note := p.note()
	if note.Parts, err = p.parts(); err != nil {
		return err
	}
	if note.Build, err = p.record(ctx); err != nil {
		return err
	}
	if p.Target == Virtio {
		return p.addBootStub(ctx, elf, note, a.Outputs[0])
	}
	if p.files != nil {
		return replaceFile(a.Outputs[0], 0o666, func(w io.Writer) error {
			return image.Write(w, elf, note, p.files.Bytes(), func(w io.Writer) error {
				return p.files.Write(ctx, w)
			})
		})
	}
	img, err := image.AddNote(elf, note)
	if err != nil {
		return err
	}
	return replaceFile(a.Outputs[0], 0o666, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(img))
		return err
	})
}

// virtioReserve is the memory in bytes behind an image without which it does not
// start: the runtime's first arenas.
const virtioReserve = 1 << 20

// addBootStub makes the image of the virtio target of the linker's output.
func (p *Plan) addBootStub(ctx context.Context, elf []byte, note image.Note, output string) error {
	raw, err := image.ParseRaw(elf)
	if err != nil {
		return err
	}
	files, err := p.archive(ctx)
	if err != nil {
		return err
	}
	cfg := ring0.Config{Entry: raw.Entry, End: raw.End, Reserve: virtioReserve, Name: clip(p.Name(), ring0.MaxName)}
	for _, s := range raw.Segments {
		if s.Memsz > s.Filesz {
			cfg.Zero, cfg.ZeroLen = s.Vaddr+s.Filesz, s.Memsz-s.Filesz // the last segment alone
		}
		cfg.Segments = append(cfg.Segments, ring0.Segment{Start: s.Vaddr, End: s.End(), Rights: ring0.Rights(s.Prot&image.ProtWrite != 0, s.Prot&image.ProtExec != 0)})
	}
	if n := uint64(len(files)); n > 0 {
		cfg.Files, cfg.FilesLen, cfg.End = raw.End, n, raw.End+n
		cfg.Segments = append(cfg.Segments, ring0.Segment{Start: raw.End, End: cfg.End, Rights: ring0.MapR})
	}
	stub, err := ring0.BootStub(cfg)
	if err != nil {
		return err
	}
	img, err := image.AddBootStub(elf, note, image.BootStub{Code: stub, Linux: ring0.EntryLinux, PVH: ring0.EntryPVH, Files: files})
	if err != nil {
		return err
	}
	return replaceFile(output, 0o666, func(w io.Writer) error {
		return p.cfg.writeFormat(w, img)
	})
}

// archive returns the files that go into the image, nil for none: a loader puts
// them into memory with the rest.
func (p *Plan) archive(ctx context.Context) ([]byte, error) {
	if p.files == nil {
		return nil, nil
	}
	var b bytes.Buffer
	err := p.files.Write(ctx, &b)
	return b.Bytes(), err
}

// clip shortens a name to n bytes at the most.
func clip(s string, n int) string { return s[:min(len(s), n)] }

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return replaceFile(to, 0o777, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}

func (p *Plan) result() (*Result, error) {
	r := &Result{
		Image: p.Output, Target: p.Target, Format: p.Format, Arch: p.Arch, Go: p.Go, Tailor: p.Tool,
		ABI: p.ABI, Package: p.Package, Devices: p.Devices,
	}
	info, err := os.Stat(p.Output)
	if err != nil {
		return nil, err
	}
	r.Bytes = info.Size()
	return r, nil
}

// note is the note of the image that p builds, but for what it is made of and from.
func (p *Plan) note() image.Note {
	n := image.Note{
		Tailor: p.Tool,
		ABI:    p.ABI,
		Target: p.Target,
		Arch:   p.Arch,
		Go:     p.Go,
		Main:   p.Package,
	}
	if p.cfg.TraceCalls {
		n.Trace = []string{"syscalls"}
	}
	n.Services = slices.Clone(p.port.Services)
	if p.cfg.LUKS {
		n.Services = append(n.Services, "luks")
	}
	if p.port.Network && p.port.DHCP {
		n.Services = append(n.Services, DHCP)
	}
	for _, d := range p.Devices {
		if d != "block" && d != "disk" || d == "block" && p.cfg.anyVolume() || d == "disk" && p.cfg.AnyDisk {
			n.Devices = append(n.Devices, image.Device{Type: d})
		}
	}
	for _, name := range p.cfg.Needs {
		n.Devices = append(n.Devices, image.Device{Type: "block", Name: name})
	}
	for _, name := range p.cfg.Disks {
		n.Devices = append(n.Devices, image.Device{Type: "disk", Name: name})
	}
	return n
}
