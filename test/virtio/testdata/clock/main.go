// Command clock prints the time, in nanoseconds, a few times a second apart.
package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("ready")
	begin := time.Now()
	for i := range 5 {
		fmt.Printf("%d: %d, %d told\n", i, time.Since(begin).Nanoseconds(), i)
		time.Sleep(time.Second)
	}
}
