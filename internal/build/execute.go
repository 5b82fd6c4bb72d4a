package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
	"github.com/tailor-os/tailor/internal/port"
)

// Run does what the plan says. On failure no output is left behind, and what
// was there before is untouched.
func (p *Plan) Run(ctx context.Context) (*Result, error) {
	e, err := openEntry(ctx, p.cfg.CacheDir, p.key)
	if err != nil {
		return nil, err
	}
	defer clean(p.cfg.CacheDir, cacheLimit, cacheAge, time.Now())
	defer e.close()
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
			err = p.compile(ctx, a, overlay)
		case KindNote:
			err = p.addNote(ctx, a, overlay)
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

// compile runs go build with its output passed on as it is.
func (p *Plan) compile(ctx context.Context, a Action, overlay string) error {
	args := slices.Clone(a.Argv[1:])
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], overlayVar, overlay)
	}
	c := command{path: a.Argv[0], args: args, dir: a.Dir, env: a.Env, stdout: p.cfg.Stderr, stderr: p.cfg.Stderr}
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

// addNote makes the image of the linker's output. An output that it cannot
// read is made again, once: a process that was killed may have left half a
// file that go build takes for up to date.
func (p *Plan) addNote(ctx context.Context, a Action, overlay string) error {
	raw := a.Inputs[0]
	img, err := p.noted(raw)
	if err != nil {
		os.Remove(raw)
		if err := p.compile(ctx, p.Actions[1], overlay); err != nil {
			return err
		}
		if img, err = p.noted(raw); err != nil {
			return err
		}
	}
	return replaceFile(p.Output, 0o666, func(w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(img))
		return err
	})
}

func (p *Plan) noted(raw string) ([]byte, error) {
	elf, err := os.ReadFile(raw)
	if err != nil {
		return nil, err
	}
	return image.AddNote(elf, p.note())
}

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
		Image: p.Output, Target: p.Target, Arch: p.Arch, Go: p.Go, Tailor: p.Tool,
		ABI: p.ABI, Package: p.Package, Devices: p.Devices,
	}
	info, err := os.Stat(p.Output)
	if err != nil {
		return nil, err
	}
	r.Bytes = info.Size()
	return r, nil
}

// note is the note of the image that p builds.
func (p *Plan) note() image.Note {
	n := image.Note{
		Tailor: p.Tool,
		ABI:    p.ABI,
		Target: p.Target,
		Arch:   p.Arch,
		Go:     p.Go,
		Main:   p.Package,
	}
	for _, d := range p.Devices {
		n.Devices = append(n.Devices, image.Device{Type: d})
	}
	return n
}
