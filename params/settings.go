package params

// MaxSettings is how large a settings file may be, in bytes.
const MaxSettings = 64 << 10

// early lists the parameters that must be known before a file can be read, and
// so cannot be in one.
var early = [...]string{"virtio_mmio.device", "control", "mount", "volume", "disk", "empty", "verbose", Defaults}

// runtimes lists the variables that Go's runtime reads before there are files.
var runtimes = [...]string{"GODEBUG", "GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GOTRACEBACK"}

// Settings reads a settings file: the words of a command line on any number of
// lines. A word that begins with # begins a comment, which ends with the line.
// The error names the line. What the words mean is for [Check].
func Settings(text string) (Line, error) {
	if len(text) > MaxSettings {
		return Line{}, Error("settings: longer than 65536 bytes")
	}
	var l Line
	args := false
	for rest := text; ; {
		raw, after := paramCut(rest)
		at := len(text) - len(after) - len(raw)
		switch {
		case raw == "":
			return l, nil
		case raw[0] == '#':
			rest = afterLine(text[at:])
			continue
		case raw == "--" && !args:
			args = true
		default:
			if err := l.addSetting(raw, args); err != nil {
				return Line{}, Error("settings, line " + digits(lineOf(text, at)) + ": " + err.Error())
			}
		}
		rest = after
	}
}

// addSetting adds a word.
func (l *Line) addSetting(raw string, args bool) error {
	word, ok := unquote(raw)
	if !ok {
		return Error("the quote is not closed")
	}
	name, value := cut(word)
	switch {
	case args:
		l.Args = append(l.Args, word)
		return nil
	case name == "env" && isVariable(value):
		if v, _ := cut(value); has(runtimes[:], v) {
			return Error("env=" + v + " can be a boot parameter only (-e)")
		}
		l.Env = append(l.Env, value)
		return nil
	}
	if has(early[:], name) {
		return Error(name + " can be a boot parameter only")
	}
	if err := check(word); err != nil {
		return err
	}
	l.System = append(l.System, word)
	return nil
}

// afterLine returns what comes after the first line of s.
func afterLine(s string) string {
	for i := range len(s) {
		if s[i] == '\n' {
			return s[i:]
		}
	}
	return ""
}

// lineOf returns the number of the line that byte at is in.
func lineOf(text string, at int) int {
	n := 1
	for i := range at {
		if text[i] == '\n' {
			n++
		}
	}
	return n
}

func digits(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return digits(n/10) + string(rune('0'+n%10))
}

// Defaults is the parameter that lists those which the tool chose by itself ([Key]),
// with commas between them: a volume's count more.
const Defaults = "defaults"

// Over returns l with what base has and l does not: of a system parameter or a
// variable that both have, l's values count and none of base's, but for those that
// are defaults. Arguments are base's and then l's, so that of a flag given in both,
// l's comes last and counts. Neither l nor base is changed.
func (l Line) Over(base Line) Line {
	given, chosen := l.split()
	return Line{
		System: over(given, over(base.System, without(chosen, base.System))),
		Env:    over(l.Env, base.Env),
		Args:   append(append([]string(nil), base.Args...), l.Args...),
	}
}

// split returns what of l's parameters was given, and what are defaults.
func (l Line) split() (given, chosen []string) {
	names := Words(Line{System: l.System}.String()).All(Defaults)
	for _, word := range l.System {
		name, _ := cut(word)
		switch {
		case name == Defaults:
		case has(names, Key(word)):
			chosen = append(chosen, word)
		default:
			given = append(given, word)
		}
	}
	return given, chosen
}

// without returns the defaults that make sense beside the parameters of base: no
// router of another network than that of an address there.
func without(chosen, base []string) (words []string) {
	var keys []string
	for _, word := range base {
		keys = append(keys, Key(word))
	}
	for _, word := range chosen {
		name, _ := cut(word)
		key := Key(word)
		if card := key[:len(key)-len(name)]; name == "gw" && has(keys, card+"ip") || name == "gw6" && has(keys, card+"ip6") {
			continue
		}
		words = append(words, word)
	}
	return words
}

// Key returns what one parameter takes the place of another by: its name and, before
// that, the card that it is of unless that is the first: eth1:ip.
func Key(word string) string {
	name, value := cut(word)
	switch name {
	case "ip", "gw", "ip6", "gw6", "mtu":
		if n, rest := CutCard(value); n > 0 {
			return value[:len(value)-len(rest)] + name
		}
	}
	return name
}

func has(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// over returns the words of base whose keys are not among those of top, and
// then those of top.
func over(top, base []string) (words []string) {
	for _, word := range base {
		key, found := Key(word), false
		for _, t := range top {
			found = found || Key(t) == key
		}
		if !found {
			words = append(words, word)
		}
	}
	return append(words, top...)
}
