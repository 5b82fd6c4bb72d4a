// Command logguest writes what programs write: lines, records, and what is no line.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strconv"
	"strings"
)

// early is written before main, and perhaps before the network is up.
var early = func() int { n, _ := fmt.Println("early"); return n }()

func main() {
	switch os.Args[1] {
	case "all":
		all()
	case "many":
		many()
	case "stdin":
		// A line at a time, as the test has it.
		for b := make([]byte, 1); ; {
			if _, err := os.Stdin.Read(b); err != nil {
				return
			}
			fmt.Printf("%s", b)
		}
	}
}

func all() {
	fmt.Print("in ", "two")
	fmt.Println(" pieces", early)
	log.SetFlags(0)
	log.Print("by log")
	slog.Error("by slog", "user", `a "b" ]`, "n", 7, "err", errors.New("bad"))
	slog.With("id", 1).WithGroup("req").Warn("slow", "path", "/")
	slog.New(slog.NewJSONHandler(os.Stdout, nil)).Warn("json", "a", 1)
	slog.New(slog.NewTextHandler(os.Stderr, nil)).Debug("hidden")
	fmt.Fprintln(os.Stderr, "<2>critical")
	fmt.Println("a\tb\x00c\x1b[31md")
	fmt.Println(strings.Repeat("0123456789abcdef", 1<<16))
	io.WriteString(os.Stdout, "no end")
	os.Exit(3)
}

func many() {
	n, _ := strconv.Atoi(os.Args[2])
	for i := range n {
		log.Printf("line %06d %s", i, strings.Repeat("x", 60))
	}
}
