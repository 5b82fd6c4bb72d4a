package main

import (
	"context"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/doctor"
)

func targetsVerb() *verb {
	var asJSON bool
	return &verb{
		name:    "targets",
		args:    "[--json]",
		summary: "list what programs can be run as, and what each needs here",
		about: `Targets lists the ways to run a program, the strongest first: what each is, what
keeps the program from the host, whether it works here, and what is missing.
States are ok, limited (works, with less speed or function) and missing.`,
		flags: []cli.Flag{cli.BoolFlag(&asJSON, "json", 0, "print JSON")},
		examples: `  tailor targets
  tailor targets --json
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if err := noArguments("targets", args); err != nil {
				return 0, err
			}
			ctx, stop := untilInterrupt(ctx)
			defer stop()
			list := doctor.Targets(ctx, a.doctorConfig())
			switch {
			case ctx.Err() != nil:
				return 0, context.Cause(ctx)
			case asJSON:
				return exitOK, printJSON(a.stdout, struct {
					Targets []doctor.Target `json:"targets"`
				}{list})
			}
			return exitOK, doctor.WriteTargets(a.stdout, list, cli.Width(a.stdout))
		},
	}
}
