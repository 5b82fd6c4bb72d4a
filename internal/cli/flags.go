// Package cli holds what the verbs of a command-line tool share: parsing of
// arguments and their values, error output and progress. It knows nothing of
// what the verbs do.
package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
)

// A Flag is one option of a verb.
type Flag struct {
	Long  string // without dashes
	Short byte   // 0 if there is none
	Value string // what the help calls the value; "" for a flag without one
	Help  string // lines of at most 56 bytes
	Set   func(string) error
}

// BoolFlag returns a flag without a value that sets *p.
func BoolFlag(p *bool, long string, short byte, help string) Flag {
	return Flag{Long: long, Short: short, Help: help, Set: func(s string) (err error) {
		*p, err = strconv.ParseBool(s)
		return err
	}}
}

// StringFlag returns a flag whose value is stored in *p.
func StringFlag(p *string, long string, short byte, value, help string) Flag {
	return Flag{Long: long, Short: short, Value: value, Help: help, Set: func(s string) error {
		*p = s
		return nil
	}}
}

// ValueFlag returns a flag whose value goes through parse into *p.
func ValueFlag[T any](p *T, long string, short byte, value, help string, parse func(string) (T, error)) Flag {
	return Flag{Long: long, Short: short, Value: value, Help: help, Set: func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = v
		}
		return err
	}}
}

// ListFlag returns a flag that may be given several times; each value goes
// through parse and is appended to *p.
func ListFlag[T any](p *[]T, long string, short byte, value, help string, parse func(string) (T, error)) Flag {
	return Flag{Long: long, Short: short, Value: value, Help: help, Set: func(s string) error {
		v, err := parse(s)
		if err == nil {
			*p = append(*p, v)
		}
		return err
	}}
}

// ErrHelp is returned by [Parse] for -h and --help.
var ErrHelp = fmt.Errorf("help requested")

// Parse reads the flags of one verb, which may be mixed with positional
// arguments. A flag is written -x, --name or -name, its value as the next
// argument or after "="; after a one-letter flag it may also follow directly
// unless it begins with a letter (-m64M). "--" ends the flags.
//
// With stop, the first positional argument ends the flags too: it and all that
// follows are returned as they are.
func Parse(verb string, flags []Flag, args []string, stop bool) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "--":
			return append(rest, args[1:]...), nil
		case len(arg) < 2 || arg[0] != '-':
			if stop {
				return args, nil
			}
			rest = append(rest, arg)
			args = args[1:]
			continue
		case arg == "-h" || arg == "-help" || arg == "--help":
			return nil, ErrHelp
		}
		n, err := parseFlag(verb, flags, args)
		if err != nil {
			return nil, err
		}
		args = args[n:]
	}
	return rest, nil
}

// parseFlag reads the flag at args[0] and returns how many arguments it took.
func parseFlag(verb string, flags []Flag, args []string) (int, error) {
	name, value, hasValue := strings.Cut(args[0], "=")
	f := find(flags, name)
	if f == nil {
		if f = joined(flags, args[0]); f != nil {
			return 1, f.set(name[:2], args[0][2:])
		}
		if cluster := cluster(flags, args[0]); cluster != nil {
			return 1, setAll(cluster)
		}
		return 0, unknownFlag(verb, flags, name)
	}
	switch {
	case hasValue:
		return 1, f.set(name, value)
	case f.Value == "":
		return 1, f.set(name, "true")
	case len(args) < 2:
		return 0, hint.Errorf(fmt.Sprintf("write %s %s, or see: tailor help %s", name, f.Value, verb),
			"%s needs a value", name)
	}
	return 2, f.set(name, args[1])
}

func (f *Flag) set(name, value string) error {
	if err := f.Set(value); err != nil {
		return fmt.Errorf("%s %q: %w", name, value, err)
	}
	return nil
}

// find returns the flag written as name, with one dash or two.
func find(flags []Flag, name string) *Flag {
	bare := strings.TrimPrefix(strings.TrimPrefix(name, "-"), "-")
	for i := range flags {
		f := &flags[i]
		if bare == f.Long || len(name) == 2 && name[1] == f.Short {
			return f
		}
	}
	return nil
}

// joined returns the one-letter flag of arg if its value follows without a
// space. Values that begin with a letter are not read that way, so that a
// mistyped -memroy is not taken for -m with a value.
func joined(flags []Flag, arg string) *Flag {
	if len(arg) < 3 || arg[1] == '-' || isLetter(arg[2]) {
		return nil
	}
	if f := find(flags, arg[:2]); f != nil && f.Value != "" {
		return f
	}
	return nil
}

// cluster returns the flags of an argument such as -nv, nil if it is none.
func cluster(flags []Flag, arg string) (fs []*Flag) {
	if arg[1] == '-' {
		return nil
	}
	for _, c := range []byte(arg[1:]) {
		f := find(flags, string([]byte{'-', c}))
		if f == nil || f.Value != "" {
			return nil
		}
		fs = append(fs, f)
	}
	return fs
}

func setAll(fs []*Flag) error {
	for _, f := range fs {
		if err := f.Set("true"); err != nil {
			return err
		}
	}
	return nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func unknownFlag(verb string, flags []Flag, name string) error {
	var names []string
	for _, f := range flags {
		names = append(names, "--"+f.Long)
	}
	help := "see: tailor help " + verb
	if near := Nearest("--"+strings.TrimLeft(name, "-"), names); near != "" {
		help = fmt.Sprintf("did you mean %s? flags of the program come after the package", near)
		if verb != "run" {
			help = fmt.Sprintf("did you mean %s?", near)
		}
	}
	return hint.Errorf(help, "unknown flag %s", name)
}
