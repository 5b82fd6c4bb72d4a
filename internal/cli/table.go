package cli

import (
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Columns that lines have on a terminal that does not tell its width, and at least.
const (
	usualWidth = 80
	leastWidth = 40
)

// TextWidth is how many columns paragraphs have, wherever they are written to.
const TextWidth = usualWidth

// Width returns how many columns a line may have that is written to w: what the
// terminal has, or 0, for any number, if w is none: then another program reads it, or
// a file keeps it, and nothing is cut.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !IsTerminal(int(f.Fd())) {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return usualWidth
	}
	return max(int(size.Col), leastWidth)
}

// A Table is text in columns; the first of its rows has their titles. A row may have
// fewer cells than others.
type Table struct {
	Rows [][]string
	// Below is how many of the last columns go below the others, with their titles,
	// if they do not all fit on a line.
	Below int
}

// What is before each line of a table, between its columns, before what is below a
// line, and before the rest of that.
const (
	indent      = 2
	gap         = 2
	indentBelow = 4
	indentRest  = 6
	leastCell   = 8 // columns that remain of a cell
)

// Write adds the table to b in lines of width columns at most, or of any length if
// that is 0. What does not fit goes below, else is wrapped at spaces, and words that
// are too long are shortened in the middle.
func (t *Table) Write(b *strings.Builder, width int) {
	rows, below := t.Rows, [][]string(nil)
	widths := widthsOf(rows)
	if width > 0 && lineOf(widths) > width {
		if t.Below > 0 {
			rows, below = t.split()
			widths = widthsOf(rows)
		}
		fit(widths, width)
	}
	for i, row := range rows {
		writeRow(b, row, widths)
		if below != nil {
			b.WriteString(lineBelow(below[i], width))
		}
	}
}

// split returns the rows without the columns that go below, and what goes below each,
// with the titles.
func (t *Table) split() (rows, below [][]string) {
	titles := t.Rows[0]
	n := len(titles) - t.Below
	for i, row := range t.Rows {
		var cells []string
		for j := n; i > 0 && j < len(row); j++ {
			if cell := strings.TrimSpace(row[j]); cell != "" {
				cells = append(cells, label(titles[j])+cell)
			}
		}
		rows, below = append(rows, row[:min(n, len(row))]), append(below, cells)
	}
	return rows, below
}

// label is the title of a column before a cell of it.
func label(title string) string {
	title = strings.TrimSpace(title)
	switch len(title) {
	case 0:
		return ""
	case 1:
		return title + ": "
	}
	return strings.ToLower(title) + ": "
}

// lineBelow is what goes below one row: as many cells in a line as fit.
func lineBelow(cells []string, width int) string {
	var b strings.Builder
	line := ""
	for _, cell := range cells {
		switch {
		case line == "":
			line = cell
		case indentBelow+length(line)+gap+length(cell) <= width:
			line += spaces(gap) + cell
		default:
			b.WriteString(Fill(spaces(indentBelow)+line, width, indentRest))
			line = cell
		}
	}
	if line != "" {
		b.WriteString(Fill(spaces(indentBelow)+line, width, indentRest))
	}
	return b.String()
}

// Fill returns text as a paragraph of lines of width columns at most (of any length if
// that is 0), of which all but the first are indented. Words are not cut. What text
// begins with, it keeps.
func Fill(text string, width, indent int) string {
	if width <= 0 || length(text) <= width {
		return text + "\n"
	}
	start := text[:len(text)-len(strings.TrimLeft(text, " "))]
	return fill(start, strings.Fields(text), width, indent)
}

// Hang returns text as [Fill] does, after start and all below its own beginning.
func Hang(start, text string, width int) string {
	n := length(start)
	return start + Fill(spaces(n)+text, width, n)[n:]
}

// FillList is [Fill] for a list of items, indented, none of which is broken.
func FillList(items []string, width, indent int) string {
	words := slices.Clone(items)
	for i := range max(len(words)-1, 0) {
		words[i] += ","
	}
	return fill(spaces(indent), words, width, indent)
}

func fill(start string, words []string, width, indent int) string {
	var b strings.Builder
	line := start
	for i, w := range words {
		switch {
		case i == 0:
			line += w
		case length(line)+1+length(w) <= width:
			line += " " + w
		default:
			b.WriteString(line + "\n")
			line = spaces(indent) + w
		}
	}
	return b.String() + line + "\n"
}

// writeRow adds one row, whose cells may need several lines.
func writeRow(b *strings.Builder, row []string, widths []int) {
	cells, high := make([][]string, len(row)), 1
	for i, cell := range row {
		cells[i] = within(cell, widths[i])
		high = max(high, len(cells[i]))
	}
	for n := range high {
		line := spaces(indent)
		for i, lines := range cells {
			text := ""
			if n < len(lines) {
				text = lines[n]
			}
			line += text + spaces(widths[i]-length(text)+gap)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// within returns a cell as lines of width columns at most.
func within(cell string, width int) []string {
	if length(cell) <= width {
		return []string{cell}
	}
	words := strings.Fields(cell)
	for i := range words {
		words[i] = Shorten(words[i], width)
	}
	return strings.Split(strings.TrimSuffix(Fill(strings.Join(words, " "), width, 0), "\n"), "\n")
}

// Shorten returns s with something left out in the middle if it has more than width
// characters. More remains of the end, since names of functions and files differ there.
func Shorten(s string, width int) string {
	r := []rune(s)
	if len(r) <= width {
		return s
	}
	const dots = ".."
	keep := max(width-len(dots), 0)
	return string(r[:keep/4]) + dots + string(r[len(r)-(keep-keep/4):])
}

// fit narrows the widest columns until a line has width columns, or no column can be
// narrower.
func fit(widths []int, width int) {
	for lineOf(widths) > width {
		widest := slices.Index(widths, slices.Max(widths))
		if widths[widest] <= leastCell {
			return
		}
		widths[widest]--
	}
}

// lineOf is how long a line of such columns is.
func lineOf(widths []int) int {
	n := indent - gap
	for _, w := range widths {
		n += w + gap
	}
	return n
}

// widthsOf returns what columns need.
func widthsOf(rows [][]string) (widths []int) {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], length(cell))
		}
	}
	return widths
}

// length is how many columns s has, which has a character in each.
func length(s string) int { return utf8.RuneCountInString(s) }

func spaces(n int) string { return strings.Repeat(" ", n) }
