package main

import (
	"cmp"
	"context"
	"os"
	"slices"
	"time"

	"github.com/tailor-os/tailor/internal/audit"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/sbom"
	"github.com/tailor-os/tailor/internal/vulndb"
)

// auditOptions are the flags of audit.
type auditOptions struct {
	db     string
	level  audit.Level
	ignore []string
	json   bool
}

// dbVariable names the database if --db does not.
const dbVariable = "TAILOR_VULNDB"

// oldDatabase is the age from which on a database is warned of: the Go project adds
// to its own every few days.
const oldDatabase = 30 * 24 * time.Hour

func parseLevel(s string) (audit.Level, error) {
	if !slices.Contains(audit.Levels, audit.Level(s)) {
		return "", hint.Errorf("levels are: module, package, symbol", "unknown level %q", s)
	}
	return audit.Level(s), nil
}

func parseWord(s string) (string, error) {
	if s == "" {
		return "", hint.Errorf("such as GO-2024-2687", "an empty identifier")
	}
	return s, nil
}

func auditVerb() *verb {
	o := auditOptions{level: audit.Symbol}
	return &verb{
		name:    "audit",
		args:    "[FLAGS] IMAGE...",
		summary: "find images that a known vulnerability touches",
		about: `Audit looks for known vulnerabilities of Go modules, of Go itself and of what
Tailor puts into images, in images and plain programs of Go, stripped or not,
without their source. It tells apart whether a flawed version of the module is
present, the package with the flaw is linked, or the flawed function is, and
says what to bump and rebuild. The exit code is 1 if an image is affected: by
--level, from which reach on.
The database is that of the Go project, or a copy of it:
https://vuln.go.dev/vulndb.zip or what it unpacks to. No network is needed then.
See docs/audit.md.`,
		flags: []cli.Flag{
			cli.StringFlag(&o.db, "db", 0, "DB", "folder, zip or URL of the database; otherwise\n$"+dbVariable+", or "+vulndb.Default),
			cli.ValueFlag(&o.level, "level", 0, "LEVEL", "what counts as affected: module, package or symbol;\nsymbol (the function is linked) if not given", parseLevel),
			cli.ListFlag(&o.ignore, "ignore", 0, "ID", "vulnerability that does not count; may come again", parseWord),
			cli.BoolFlag(&o.json, "json", 0, "print JSON"),
		},
		examples: `  tailor audit web.img
  tailor audit --db vulndb.zip web.img prod/*.img
  tailor audit --db vulndb.zip --level package --json prod/*.img
`,
		run: func(ctx context.Context, a *app, args []string) (int, error) {
			if len(args) == 0 {
				return 0, hint.Errorf("tailor audit web.img", "no image given")
			}
			return a.audit(ctx, o, args)
		},
	}
}

func (a *app) audit(ctx context.Context, o auditOptions, files []string) (int, error) {
	ctx, stop := untilInterrupt(ctx)
	defer stop()
	db, err := vulndb.Open(ctx, cmp.Or(o.db, os.Getenv(dbVariable), vulndb.Default))
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if age := time.Since(db.Modified); age > oldDatabase {
		a.msg.Warnf("the vulnerability database %s is of %s, %d days old: what was found since is not in it",
			db.Source, db.Modified.UTC().Format("2006-01-02"), int(age.Hours()/24))
	}
	bills, failed := a.readBills(ctx, files)
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	end := a.msg.Progress("looking for known vulnerabilities")
	report, err := audit.Run(ctx, db, bills, audit.Options{Level: o.level, Ignore: o.ignore})
	end()
	if err != nil {
		return 0, err
	}
	report.Failed = append(report.Failed, failed...)
	if o.json {
		err = printJSON(a.stdout, report)
	} else {
		err = report.WriteText(a.stdout, cli.Width(a.stdout))
	}
	switch {
	case err != nil:
		return 0, err
	case report.Affected:
		return exitAffected, nil
	case len(failed) > 0:
		return exitFailure, nil
	}
	return exitOK, nil
}

// readBills reads images. What cannot be read is told, and the others are audited.
func (a *app) readBills(ctx context.Context, files []string) (bills []*sbom.Bill, failed []audit.Failure) {
	seen := map[string]bool{}
	for _, file := range files {
		if seen[file] || ctx.Err() != nil {
			continue
		}
		seen[file] = true
		end := a.msg.Progress("reading " + file)
		bill, err := readBill(file)
		end()
		if err != nil {
			a.msg.Error(err)
			failed = append(failed, audit.Failure{File: file, Error: err.Error(), Hint: hint.Of(err)})
			continue
		}
		for _, text := range bill.Warnings {
			a.msg.Warnf("%s: %s", file, text)
		}
		for _, text := range bill.Unknown {
			a.msg.Warnf("%s: not known: %s", file, text)
		}
		bills = append(bills, bill)
	}
	return bills, failed
}
