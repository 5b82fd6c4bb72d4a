// Guest is one program with many behaviours, run as "guest NAME [ARGS]". It
// is built for every target; the tests compare what it does.
package main

import (
	"fmt"
	"os"
	"sort"
)

var commands = map[string]func(args []string){}

func register(name string, f func(args []string)) { commands[name] = f }

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		var names []string
		for n := range commands {
			names = append(names, n)
		}
		sort.Strings(names)
		fmt.Fprintln(os.Stderr, "usage: guest NAME [ARGS], NAME one of", names)
		os.Exit(99)
	}
	commands[os.Args[1]](os.Args[2:])
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(98)
	}
}
