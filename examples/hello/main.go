// Command hello prints a line and exits. It is plain Go: nothing in it knows
// whether it runs as a Linux process or as a virtual machine.
package main

import "fmt"

func main() {
	fmt.Println("Hello, world!")
}
