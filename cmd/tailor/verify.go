package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/verify"
)

// verified is what build --verify --json prints.
type verified struct {
	*build.Result
	Verify *verify.Report `json:"verify"`
}

// verify builds a package three times and, if that gives the same, writes the output.
func (a *app) verify(ctx context.Context, cfg build.Config, asJSON bool) (int, error) {
	tool, err := os.Executable()
	if err != nil {
		return 0, fmt.Errorf("--verify starts this tool again: %w", err)
	}
	report, err := verify.Run(ctx, verify.Config{Build: cfg, Tool: tool, Progress: a.msg.Progress})
	if err != nil {
		return 0, err
	}
	out := verified{Verify: report}
	if report.Same {
		if _, out.Result, err = a.planAndBuild(ctx, cfg, false); err != nil {
			return 0, err
		}
		if err := wasVerified(out.Image, report.SHA256); err != nil {
			return 0, err
		}
	}
	if asJSON {
		err = printJSON(a.stdout, out)
	} else if report.Same {
		_, err = fmt.Fprintf(a.stdout, "%s  %s\n", report.SHA256, out.Image)
	}
	if err != nil {
		return 0, err
	}
	if !report.Same {
		a.differ(report)
		return exitDiffers, nil
	}
	for _, b := range report.Builds {
		a.msg.Infof("%s: %d bytes, sha256 %s, %.0f s", b.Name, report.Bytes, b.SHA256, b.Seconds)
	}
	a.msg.Infof("the same bytes %d times; equal: %s", len(report.Builds), strings.Join(report.Equal, "; "))
	a.msg.Infof("different: %s", strings.Join(report.Different, ", "))
	return exitOK, nil
}

// wasVerified reports whether a file has the bytes that were verified: its source may
// have been edited since.
func wasVerified(file, sum string) error {
	if file == os.DevNull {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if hex.EncodeToString(h.Sum(nil)) != sum {
		return hint.Errorf("run it again", "%s is not what was verified: its source changed meanwhile", file)
	}
	return nil
}

// differ says what is not the same.
func (a *app) differ(report *verify.Report) {
	for _, b := range report.Builds {
		a.msg.Infof("%s: sha256 %s: %s", b.Name, b.SHA256, b.Image)
	}
	d := report.Differences[0]
	lines := d.Brief()
	if d.First != nil {
		lines = append([]string{fmt.Sprintf("first at byte %d: %s", *d.First, d.Where)}, lines...)
	}
	for _, l := range lines {
		a.msg.Infof("%s", l)
	}
	a.msg.Error(hint.Errorf(fmt.Sprintf("tailor diff %s %s; rm -r %s", d.A.File, d.B.File, report.Kept), "the builds are not the same, so nothing was written"))
}
