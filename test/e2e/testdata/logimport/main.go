// Command logimport imports a transport for its log, instead of --log.
package main

import (
	"fmt"

	_ "github.com/tailor-os/tailor/logs/tcp" // its effect is on tailor build
)

func main() { fmt.Println("hello") }
