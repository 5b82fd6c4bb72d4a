// Command hello is what the tests of package image link and mark.
package main

import "os"

// zeros makes a .bss of more than a page.
var zeros [1 << 16]byte

func main() {
	if len(os.Args) > 1 {
		os.Exit(int(zeros[len(os.Args)]) + 7)
	}
	os.Stdout.WriteString("hello, image\n")
}
