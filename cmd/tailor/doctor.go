package main

import (
	"context"

	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/doctor"
	"github.com/tailor-os/tailor/internal/port"
	"github.com/tailor-os/tailor/internal/spt"
)

func doctorVerb() *verb {
	var asJSON bool
	return &verb{
		name:    "doctor",
		args:    "[--json]",
		summary: "show what this machine can run, and what to do about the rest",
		about: `Doctor looks at Go, KVM, QEMU and what else the targets use. Each check is ok,
limited (works, with less speed or function) or missing, and comes with what to
do. The exit code is 0 if at least one target works, else 1.`,
		flags: []cli.Flag{cli.BoolFlag(&asJSON, "json", 0, "print JSON")},
		examples: `  tailor doctor
  tailor doctor --json
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if err := noArguments("doctor", args); err != nil {
				return 0, err
			}
			return a.doctor(ctx, asJSON)
		},
	}
}

func (a *app) doctorConfig() doctor.Config {
	dir, _ := cache.Dir() // the check of the cache says so
	return doctor.Config{Supported: port.Supported, CheckVM: checkVM, CheckSPT: spt.Check, CacheDir: dir, Dir: a.dir}
}

func (a *app) doctor(ctx context.Context, asJSON bool) (int, error) {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	end := a.msg.Progress("examining this machine")
	report := doctor.Run(ctx, a.doctorConfig())
	end()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	var err error
	if asJSON {
		err = printJSON(a.stdout, report)
	} else {
		err = report.Write(a.stdout, cli.Width(a.stdout))
	}
	if err == nil && !report.OK() {
		return exitNothing, nil
	}
	return exitOK, err
}
