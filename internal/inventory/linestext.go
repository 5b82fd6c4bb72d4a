package inventory

import (
	"fmt"
	"strings"

	"github.com/tailor-os/tailor/internal/cli"
)

// lines writes the table of lines, if they were counted.
func (r *Report) linesText(b *page) {
	switch {
	case r.Lines == nil:
	case r.Lines.Linked == nil:
		r.Lines.instructionsText(b)
	default:
		r.Lines.sourcesText(b)
	}
}

// instructionsText writes what is known without sources.
func (l *Lines) instructionsText(b *page) {
	rows := [][]string{{"THOUSAND LINES", "     GO", "    ASM", "    SUM"}}
	add := func(name string, all, assembly int) {
		rows = append(rows, []string{name, thousands(all - assembly), thousands(assembly), thousands(all)})
	}
	for _, l := range l.Layers {
		add(moduleName(l.Name), l.Go+l.Assembly, l.Assembly)
	}
	add("with instructions", l.Total, l.Assembly)
	b.table(rows, 0)
}

// sourcesText writes all that is known.
func (l *Lines) sourcesText(b *page) {
	rows := [][]string{{"THOUSAND LINES", "     GO", "    ASM", "   GEN.", " LINKED", " INSTR.", "COMPILED"}}
	add := func(name string, linked, compiled *Tally, instructions int) {
		rows = append(rows, []string{name, thousands(linked.Go), thousands(linked.Assembly), thousands(linked.Generated()),
			thousands(linked.Code()), thousands(instructions), " " + thousands(compiled.Code())})
	}
	for _, l := range l.Layers {
		add(moduleName(l.Name), l.Linked, l.Compiled, l.Go+l.Assembly)
	}
	add("all", l.Linked, l.Compiled, l.Total)
	b.table(rows, 0)
	b.fill(fmt.Sprintf("LINKED: lines of code of the %s linked declarations, in %s files; GO and ASM (assembly) of people, GEN. of programs. "+
		"INSTR.: lines with instructions. COMPILED: all code of the %s files of all packages, %s thousand of it generated. "+
		"Comments and blank lines are apart: %s and %s thousand with what is linked, %s and %s with what is compiled. See docs/lines.md.",
		grouped(uint64(l.Declarations)), grouped(uint64(l.Linked.Files)), grouped(uint64(l.Compiled.Files)), fig(l.Compiled.Generated()),
		fig(l.Linked.Comment), fig(l.Linked.Blank), fig(l.Compiled.Comment), fig(l.Compiled.Blank)))
	if l.Unmatched > 0 {
		b.fill(fmt.Sprintf("LINKED lacks %s lines with instructions of files that are not here, such as %s.",
			grouped(uint64(l.Unmatched)), l.UnmatchedFiles[0]))
	}
}

// fill writes a paragraph.
func (b *page) fill(text string) { b.WriteString("\n" + cli.Fill(text, cli.TextWidth, 0)) }

// fig is n in thousands, with one decimal.
func fig(n int) string {
	tenths := (n + 50) / 100
	return fmt.Sprintf("%s.%d", grouped(uint64(tenths/10)), tenths%10)
}

// thousands is fig in seven columns.
func thousands(n int) string { return fmt.Sprintf("%7s", fig(n)) }

// moduleName is the name of a layer, which has few columns in these tables.
func moduleName(layer string) string { return strings.TrimPrefix(layer, "module ") }
