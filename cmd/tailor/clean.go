package main

import (
	"context"

	"github.com/tailor-os/tailor/internal/cache"
)

func cleanVerb() *verb {
	return &verb{
		name:    "clean",
		summary: "remove what Tailor keeps to build faster",
		about: `Clean empties Tailor's cache: derived runtime ports, the linker's last outputs,
modules at a version, and what tailor test std has found out about Linux. What
another tailor uses at the moment stays. Tailor makes the rest again when it is
needed, and removes what was not used for 14 days by itself. tailor doctor shows
where the cache is, and its size. Go's own caches are for: go clean -cache.`,
		examples: `  tailor clean
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if err := noArguments("clean", args); err != nil {
				return 0, err
			}
			return exitOK, a.clean()
		},
	}
}

func (a *app) clean() error {
	dir, err := cache.Dir()
	if err != nil {
		return err
	}
	end := a.msg.Progress("emptying " + dir)
	r, err := cache.Clean(dir)
	end()
	a.msg.Infof("removed %d entries of %s, %d MB", r.Entries, dir, r.Bytes/1e6)
	if r.InUse > 0 {
		a.msg.Infof("%d are in use and stay", r.InUse)
	}
	return err
}
