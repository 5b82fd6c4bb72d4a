// Command redisd serves the Redis protocol with github.com/alicebob/miniredis.
package main

import (
	"log"

	"github.com/alicebob/miniredis/v2"
)

func main() {
	m := miniredis.NewMiniRedis()
	if err := m.StartAddr(":6379"); err != nil {
		log.Fatal(err)
	}
	log.Printf("serving on %s", m.Addr())
	select {}
}
