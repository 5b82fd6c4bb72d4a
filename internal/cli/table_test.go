package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func written(t Table, width int) string {
	var b strings.Builder
	t.Write(&b, width)
	return b.String()
}

// A table that fits is in columns; one that does not has its last columns below, and
// the rest wrapped and shortened. With no width nothing is cut.
func TestTable(t *testing.T) {
	rows := [][]string{
		{"NAME", "   BYTES", "WHAT", "BY", ""},
		{"a", "       1", "one thing", "main > x"},
		{"example.com/a/long/path.Function", "      22", "several other things", "main", "more"},
		{"sum", "      23"},
	}
	const whole = `  NAME                                 BYTES  WHAT                  BY
  a                                        1  one thing             main > x
  example.com/a/long/path.Function        22  several other things  main      more
  sum                                     23
`
	const below = `  NAME                                 BYTES  WHAT
  a                                        1  one thing
    by: main > x
  example.com/a/long/path.Function        22  several other things
    by: main  more
  sum                                     23
`
	const narrow = `  NAME              BYTES  WHAT
  a                     1  one thing
    by: main > x
  ex...Function        22  several other
                           things
    by: main  more
  sum                  23
`
	for _, c := range []struct {
		width int
		want  string
	}{{0, whole}, {82, whole}, {81, below}, {66, below}, {40, narrow}} {
		if got := written(Table{Rows: rows, Below: 2}, c.width); got != c.want {
			t.Errorf("%d columns:\n%s\nwant\n%s", c.width, got, c.want)
		}
	}
}

// What is below does not run together, and is within the width as far as words are.
func TestTableBelow(t *testing.T) {
	rows := [][]string{{"CHANGED", "A", "B"}, {"x", "-", "some words that go on, and on"}, {"y", strings.Repeat("h", 40), ""}}
	const want = `  CHANGED
  x
    A: -
    B: some words that go on, and
      on
  y
    A:
      hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh
`
	if got := written(Table{Rows: rows, Below: 2}, 34); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestShorten(t *testing.T) {
	for _, c := range []struct {
		s     string
		width int
		want  string
	}{
		{"abc", 3, "abc"}, {"", 0, ""}, {"abcd", 3, "..d"}, {"abcd", 1, ".."},
		{"gvisor.dev/tcp.(*Endpoint).handle", 20, "gvis..dpoint).handle"},
		{"ñandúñandúñandú", 8, "ñ..ñandú"},
	} {
		if got := Shorten(c.s, c.width); got != c.want {
			t.Errorf("%q in %d: %q, want %q", c.s, c.width, got, c.want)
		}
	}
}

// Paragraphs keep their words whole, and lists their items.
func TestFill(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Fill("  one two three", 9, 4), "  one two\n    three\n"},
		{Fill("  one two three", 0, 4), "  one two three\n"},
		{Fill("a wordthatislong b", 6, 1), "a\n wordthatislong\n b\n"},
		{Fill("", 10, 0), "\n"},
		{Hang("ñ:  ", "one two three", 11), "ñ:  one two\n    three\n"},
		{Hang("a: ", "one two", 0), "a: one two\n"},
		{FillList([]string{"a b", "c d", "e"}, 11, 2), "  a b, c d,\n  e\n"},
		{FillList(nil, 11, 2), "  \n"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// A terminal's width counts, or 80 if it has none; what is no terminal has no end.
func TestWidth(t *testing.T) {
	if got := Width(new(bytes.Buffer)); got != 0 {
		t.Errorf("of a buffer: %d", got)
	}
	file, err := os.Create(t.TempDir() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := Width(file); got != 0 {
		t.Errorf("of a file: %d", got)
	}
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer tty.Close()
	for columns, want := range map[uint16]int{0: 80, 132: 132, 3: 40} {
		if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
			t.Fatal(err)
		}
		if got := Width(tty); got != want {
			t.Errorf("of a terminal of %d columns: %d, want %d", columns, got, want)
		}
	}
}

// Rows of any shape, and any bytes in them, are no reason to panic, or for a column
// that is not within the width.
func FuzzTable(f *testing.F) {
	f.Add("NAME\tB\nx\t1", 80, 1)
	f.Add("\n\t\t\n\xff\t  \t", 41, 3)
	f.Fuzz(func(t *testing.T, text string, width, below int) {
		var rows [][]string
		for line := range strings.SplitSeq(text, "\n") {
			rows = append(rows, strings.Split(line, "\t"))
		}
		if len(text) > 1<<12 || below < 0 || below >= len(rows[0]) || width < 0 || width > 1<<12 {
			return
		}
		table := Table{Rows: rows, Below: below}
		if got := written(table, width); strings.Count(got, "\n") < len(rows) {
			t.Errorf("%d rows became\n%s", len(rows), got)
		}
	})
}
