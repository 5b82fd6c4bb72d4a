package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/paramdoc"
)

func helpVerb() *verb {
	return &verb{
		name:    "help",
		args:    "[VERB | parameters]",
		summary: "show how a verb is used",
		about:   "Without a verb, help lists the verbs and the exit codes.",
		examples: `  tailor help
  tailor help run
  tailor help parameters      boot parameters of an image
`,
		run: runHelp,
	}
}

func runHelp(ctx context.Context, a *app, args []string) (int, error) {
	if len(args) > 1 && args[0] == "volume" {
		return a.volume(ctx, append([]string{"help"}, args[1:]...))
	}
	if len(args) > 1 {
		return 0, hint.Errorf("name one verb, such as: tailor help run", "too many arguments: %s", strings.Join(args, " "))
	}
	text := overview()
	if len(args) == 1 && args[0] == "parameters" {
		text = paramdoc.Text()
	} else if len(args) == 1 {
		v := findVerb(args[0])
		if v == nil {
			return 0, unknownVerb(args[0])
		}
		text = v.help()
	}
	_, err := io.WriteString(a.stdout, text)
	return exitOK, err
}

const exitCodes = `Exit codes:
  N    run: the program's own
  2    run: the program ended with a Go panic or fatal error, as usual
  1    doctor: no target works on this machine; test: tests failed;
       volume check: the volume is damaged; audit: an image is affected;
       diff, build --verify: not the same
  2    diff: a file cannot be read
  125  tailor failed: wrong usage, the build, the virtual machine
  130  tailor was interrupted before the program started
`

// overview is the help for the tool as a whole.
func overview() string {
	var b strings.Builder
	b.WriteString("Tailor runs Go programs as virtual machines, and builds images of them.\n\nUsage: tailor VERB [FLAGS] [ARGUMENTS]\n\nVerbs:\n")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "  %-9s%s\n", v.name, v.summary)
	}
	b.WriteString(`
Examples:
  tailor run ./examples/hello
  tailor run -p 8080:80 ./examples/website
  tailor build -o hello.img ./examples/hello
  tailor run hello.img
  tailor doctor

` + exitCodes + `
More about one verb: tailor help VERB; boot parameters: tailor help parameters
`)
	return b.String()
}

// help is the help for one verb.
func (v *verb) help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: tailor %s\n\n%s\n", strings.TrimRight(v.name+" "+v.args, " "), v.about)
	if len(v.flags) > 0 {
		b.WriteString("\nFlags:\n")
		for _, f := range v.flags {
			b.WriteString(flagHelp(f))
		}
	}
	b.WriteString("\nExamples:\n" + v.examples)
	if v.name == "run" || v.name == "doctor" {
		b.WriteString("\n" + exitCodes)
	}
	return b.String()
}

// flagHelp is a flag and, from column 29 on, what it does.
func flagHelp(f cli.Flag) string {
	name := "    --" + f.Long
	if f.Short != 0 {
		name = fmt.Sprintf("-%c, --%s", f.Short, f.Long)
	}
	if f.Value != "" {
		name += " " + f.Value
	}
	lines := strings.Split(f.Help, "\n")
	out := fmt.Sprintf("  %-25s %s\n", name, lines[0])
	if len(name) > 25 {
		out = fmt.Sprintf("  %s\n  %-25s %s\n", name, "", lines[0])
	}
	for _, l := range lines[1:] {
		out += fmt.Sprintf("  %-25s %s\n", "", l)
	}
	return out
}
