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

// WriteText writes the report for people. The error is w's.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for i := range r.Vulnerabilities {
		r.Vulnerabilities[i].text(&b)
	}
	r.summary(&b)
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

func (v *Vulnerability) text(b *strings.Builder) {
	head := v.ID
	if len(v.Aliases) > 0 {
		head += " (" + strings.Join(v.Aliases, ", ") + ")"
	}
	if v.Ignored {
		head += ", ignored"
	}
	fmt.Fprintf(b, "%s: %s\n", cli.Printable(head), cli.Printable(cmp.Or(v.Summary, "no summary")))
	if v.URL != "" {
		fmt.Fprintf(b, "  %s\n", cli.Printable(v.URL))
	}
	for i := len(Levels) - 1; i >= 0; i-- {
		v.level(b, Levels[i])
	}
	b.WriteString("\n")
}

// level lists the images that have it at a level.
func (v *Vulnerability) level(b *strings.Builder, l Level) {
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
		fmt.Fprintf(b, "    %s\n", cli.Printable(f.text()))
	}
}

// text is a finding on one line.
func (f *Finding) text() string {
	s := fmt.Sprintf("%s: %s %s", f.File, f.Module, cmp.Or(f.Version, "of a version that is not known"))
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
func (r *Report) summary(b *strings.Builder) {
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
	switch {
	case len(r.Images) == 0:
	case len(images) == 0:
		fmt.Fprintf(b, "Not affected: %s (%s).", of, levelText[r.Level])
	default:
		fmt.Fprintf(b, "Affected: %d of %s, by %d known %s (%s): %s.", len(images), of,
			vulnerabilities, plural(vulnerabilities, "vulnerability", "vulnerabilities"), levelText[r.Level], strings.Join(images, ", "))
	}
	if lesser > 0 {
		fmt.Fprintf(b, " %d more %s not reach that far, or %s ignored.", lesser, plural(lesser, "does", "do"), plural(lesser, "is", "are"))
	}
	if n := len(r.Failed); n > 0 {
		if len(r.Images) > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "Not audited: %d %s that cannot be read.", n, plural(n, "image", "images"))
	}
	fmt.Fprintf(b, "\nDatabase: %s of %s.\n", cli.Printable(r.Database.Source), r.Database.Modified.UTC().Format("2006-01-02"))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
