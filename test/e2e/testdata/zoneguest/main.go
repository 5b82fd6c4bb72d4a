// Command zoneguest prints noon of a summer's day as seen in a time zone, and in
// the local one.
package main

import (
	"fmt"
	"os"
	"time"
)

func main() {
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	fmt.Println("local", noon.Local().Format("15:04 MST"))
	for _, name := range os.Args[1:] {
		zone, err := time.LoadLocation(name)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(name, noon.In(zone).Format("15:04 MST"))
	}
}
