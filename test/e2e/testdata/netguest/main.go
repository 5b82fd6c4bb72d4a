// Netguest is one program with many behaviours on the network, run as
// "netguest NAME [ARGS]". It is apart from the program next door because
// importing net brings the network stack into an image.
package main

import (
	"fmt"
	"os"
)

var commands = map[string]func(args []string){}

func register(name string, f func(args []string)) { commands[name] = f }

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: netguest NAME [ARGS]; see the source for names")
		os.Exit(99)
	}
	commands[os.Args[1]](os.Args[2:])
}

// check ends the program with what the test looks for.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		os.Exit(98)
	}
}

func checkf(ok bool, format string, args ...any) {
	if !ok {
		check(fmt.Errorf(format, args...))
	}
}
