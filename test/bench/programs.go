package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// programs are what is measured: the tool, and each example as an image and as
// a plain static process.
type programs struct {
	dir    string
	tailor string
	target string // of images
	hello  program
	site   program
	pinata program // for its size
	peer   program

	tlspeer program // built when it is needed
}

// A program is the same package built twice.
type program struct{ pkg, image, plain string }

// build builds all programs into a new folder. The command has to be run in the
// repository.
func (p *programs) build(ctx context.Context) (err error) {
	if p.dir, err = os.MkdirTemp("", "tailor-bench-"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.remove()
		}
	}()
	p.tailor = filepath.Join(p.dir, "tailor")
	if err := goBuild(ctx, p.tailor, "github.com/tailor-os/tailor/cmd/tailor"); err != nil {
		return err
	}
	for _, b := range []struct {
		to  *program
		pkg string
	}{
		{&p.hello, "examples/hello"},
		{&p.site, "examples/website"},
		{&p.pinata, "examples/pinata"},
		{&p.peer, "test/bench/testdata/peer"},
	} {
		if *b.to, err = p.both(ctx, "github.com/tailor-os/tailor/"+b.pkg); err != nil {
			return err
		}
	}
	return nil
}

// both builds a package as an image, with more flags of the tool's, and plain.
func (p *programs) both(ctx context.Context, pkg string, flags ...string) (program, error) {
	base := filepath.Join(p.dir, filepath.Base(pkg))
	built := program{pkg, base + ".img", base}
	if _, err := output(ctx, anywhere, append(append([]string{p.tailor, "build", "-t", "hvt", "-o", built.image}, flags...), pkg)...); err != nil {
		return built, err
	}
	return built, goBuild(ctx, built.plain, pkg)
}

// goBuild builds a plain static program, stripped as images are.
func goBuild(ctx context.Context, to, pkg string) error {
	_, err := output(ctx, anywhere, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags=-s -w", "-o", to, pkg)
	return err
}

func (p *programs) remove() {
	if err := os.RemoveAll(p.dir); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

// onTap returns the command line of an image on the tap.
func (b *bench) onTap(image string, args ...string) []string {
	return append([]string{b.tailor, "run", "-t", b.target, "-v", "--net", "tap:" + b.net.tap, "--ip", tapGuest + "/24", image}, args...)
}
