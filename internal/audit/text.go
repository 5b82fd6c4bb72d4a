package audit

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
)

// levelText says what each level is, for people.
var levelText = map[Level]string{Module: "module present", Package: "package linked", Symbol: "function linked"}

const maxShown = 6 // functions of a finding that are listed

// WriteText writes the report for people, in lines of width columns, or of any length
// if that is 0; commands are never broken. The error is w's.
func (r *Report) WriteText(w io.Writer, width int) error {
	var b strings.Builder
	for i := range r.Vulnerabilities {
		r.Vulnerabilities[i].text(&b, width)
	}
	r.summary(&b, width)
	for _, img := range r.Images {
		if len(img.Commands) > 0 {
			fmt.Fprintf(&b, "\nFor %s:\n", cli.Printable(img.File))
		}
		for _, c := range img.Commands {
			fmt.Fprintf(&b, "  %s\n", cli.Printable(c))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (v *Vulnerability) text(b *strings.Builder, width int) {
	head := v.ID
	if len(v.Aliases) > 0 {
		head += " (" + strings.Join(v.Aliases, ", ") + ")"
	}
	if v.Ignored {
		head += ", ignored"
	}
	b.WriteString(cli.Fill(cli.Printable(head+": "+cmp.Or(v.Summary, "no summary")), width, 2))
	if v.URL != "" {
		fmt.Fprintf(b, "  %s\n", cli.Printable(v.URL))
	}
	for i := len(Levels) - 1; i >= 0; i-- {
		v.level(b, Levels[i], width)
	}
	b.WriteString("\n")
}

// level lists the images that have it at a level.
func (v *Vulnerability) level(b *strings.Builder, l Level, width int) {
	first := true
	for i := range v.Findings {
		f := &v.Findings[i]
		if f.Level != l {
			continue
		}
		if first {
			fmt.Fprintf(b, "  %s:\n", levelText[l])
			first = false
		}
		b.WriteString(cli.Fill("    "+cli.Printable(f.text()), width, 6))
	}
}

// text is a finding on one line.
func (f *Finding) text() string {
	s := fmt.Sprintf("%s: %s %s", f.File, f.Module, cmp.Or(f.Version, "of a version that is not known"))
	if f.Version != "" && slices.Contains(f.Unknown, "version") {
		s += " or another version"
	}
	if f.Fixed != "" {
		s += ", fixed in " + f.Fixed
	} else {
		s += ", not fixed"
	}
	var names []string
	for i, fn := range f.Functions {
		if i == maxShown {
			names = append(names, fmt.Sprintf("and %d more", len(f.Functions)-i))
			break
		}
		if names = append(names, fn.Name); fn.Inlined {
			names[i] += " (inlined)"
		}
	}
	switch {
	case len(names) > 0:
		s += ": " + strings.Join(names, ", ")
	case slices.Contains(f.Unknown, "inlined"):
		s += ": it may be inlined, which cannot be read"
	case f.Level == Symbol:
		s += ": the database names no functions"
	case f.Level == Package:
		s += ": " + strings.Join(f.Packages, ", ")
	}
	return s
}

// summary says how many are affected.
func (r *Report) summary(b *strings.Builder, width int) {
	vulnerabilities, images, lesser := 0, []string{}, 0
	for _, v := range r.Vulnerabilities {
		if v.Affected {
			vulnerabilities++
		} else {
			lesser++
		}
	}
	for _, img := range r.Images {
		if img.Affected {
			images = append(images, cli.Printable(img.File))
		}
	}
	of := fmt.Sprintf("%d %s", len(r.Images), plural(len(r.Images), "image", "images"))
	var text string
	switch {
	case len(r.Images) == 0:
	case len(images) == 0:
		text = fmt.Sprintf("Not affected: %s (%s).", of, levelText[r.Level])
	default:
		text = fmt.Sprintf("Affected: %d of %s, by %d known %s (%s): %s.", len(images), of,
			vulnerabilities, plural(vulnerabilities, "vulnerability", "vulnerabilities"), levelText[r.Level], strings.Join(images, ", "))
	}
	if lesser > 0 {
		text += fmt.Sprintf(" %d more %s not reach that far, or %s ignored.", lesser, plural(lesser, "does", "do"), plural(lesser, "is", "are"))
	}
	if text != "" {
		b.WriteString(cli.Fill(text, width, 0))
	}
	if n := len(r.Failed); n > 0 {
		fmt.Fprintf(b, "Not audited: %d %s that cannot be read.\n", n, plural(n, "image", "images"))
	}
	fmt.Fprintf(b, "Database: %s of %s.\n", cli.Printable(r.Database.Source), r.Database.Modified.UTC().Format("2006-01-02"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
