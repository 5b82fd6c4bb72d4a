// Package params is the grammar of boot parameters, the same for every target
// and every loader, and the list of those that there are. The guest and the tool
// both link it; docs/parameters.md is for people.
//
// A command line is words with spaces between them. Double quotes keep spaces in
// a word; between them, \" is a quote and \\ a backslash. Control characters
// count as spaces. The words before a word
// -- are the system's, NAME=VALUE, the words after it the program's arguments.
// env=NAME=VALUE is a variable of the program's environment. Unquoted words
// virtio_mmio.device=... at the very end are the system's in any case, because
// loaders append them. Functions may be called by several goroutines at once.
package params

// A Line is a command line, its words without quotes.
type Line struct {
	System []string // NAME=VALUE, in order
	Env    []string // NAME=VALUE, what the words env= had
	Args   []string // the program's, without its name
}

// Split reads a command line. It fails if a quote is left open.
func Split(line string) (Line, error) {
	var l Line
	for w := paramsOf(line); ; {
		raw, args := w.next()
		if raw == "" {
			return l, nil
		}
		word, ok := unquote(raw)
		if !ok {
			return Line{}, Error("boot parameters: the quote in " + raw + " is not closed")
		}
		switch name, value := cut(word); {
		case args:
			l.Args = append(l.Args, word)
		case name == "env":
			l.Env = append(l.Env, value)
		default:
			l.System = append(l.System, word)
		}
	}
}

// String writes l as [Split] reads it.
func (l Line) String() string {
	s := ""
	add := func(word string) {
		if s != "" {
			s += " "
		}
		s += word
	}
	for _, word := range l.System {
		add(Quote(word))
	}
	for _, variable := range l.Env {
		add(Quote("env=" + variable))
	}
	if len(l.Args) > 0 {
		add("--")
	}
	for _, arg := range l.Args {
		add(Quote(arg))
	}
	return s
}

// Quote writes a word so that [Split] gets the same one back, with quotes only
// if it must: around spaces, quotes, nothing, and what would mean something
// else: -- and devices.
func Quote(word string) string {
	plain := word != "" && word != "--" && !paramIsDevice(word)
	for i := range len(word) {
		plain = plain && word[i] > ' ' && word[i] != '"'
	}
	if plain {
		return word
	}
	out := make([]byte, 0, len(word)+2)
	out = append(out, '"')
	for i := range len(word) {
		if word[i] == '"' || word[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, word[i])
	}
	return string(append(out, '"'))
}

// Words are parameters of the system's as they are written, quotes included. A
// name given twice keeps the order; [Words.Get] returns the last.
type Words string

// Next returns the first word as name and value, and the words after it. A word
// without "=" is a name without value. ok is false at the end.
func (w Words) Next() (name, value string, rest Words, ok bool) {
	raw, after := paramCut(string(w))
	if raw == "" {
		return "", "", "", false
	}
	word, _ := unquote(raw)
	name, value = cut(word)
	return name, value, Words(after), true
}

// Get returns the last value of name, "" if there is none. It is what the
// smallest images link of this type, and therefore stands alone.
func (w Words) Get(name string) string {
	found := ""
	for rest := string(w); ; {
		var raw string
		if raw, rest = paramCut(rest); raw == "" {
			return found
		}
		word := make([]byte, len(raw))
		n := paramUnquote(word, raw)
		if n > len(name) && word[len(name)] == '=' && string(word[:len(name)]) == name {
			found = string(word[len(name)+1 : n])
		}
	}
}

// All returns the values of name in order; those with commas are split there.
func (w Words) All(name string) (list []string) {
	for n, v, rest, ok := w.Next(); ok; n, v, rest, ok = rest.Next() {
		if n != name {
			continue
		}
		list = appendList(list, v)
	}
	return list
}

// appendList appends what is between the commas of v.
func appendList(list []string, v string) []string {
	start := 0
	for i := 0; i <= len(v); i++ {
		if i < len(v) && v[i] != ',' {
			continue
		}
		if start < i {
			list = append(list, v[start:i])
		}
		start = i + 1
	}
	return list
}

// unquote returns raw without quotes; ok is false if one is left open.
func unquote(raw string) (word string, ok bool) {
	b := make([]byte, len(raw))
	n := paramUnquote(b, raw)
	if n < 0 {
		return raw, false
	}
	return string(b[:n]), true
}

// cut splits a word at its first "=".
func cut(word string) (name, value string) {
	for i := range len(word) {
		if word[i] == '=' {
			return word[:i], word[i+1:]
		}
	}
	return word, ""
}

// Error is the type of this package's errors.
type Error string

func (e Error) Error() string { return string(e) }
