// Command pebble keeps keys in a github.com/cockroachdb/pebble database.
package main

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

func main() {
	db, err := pebble.Open("/tmp/pebble", &pebble.Options{MemTableSize: 1 << 20})
	check(err)
	for i := range 10000 {
		check(db.Set(fmt.Appendf(nil, "key%05d", i), fmt.Appendf(nil, "value %d", i), pebble.NoSync))
	}
	check(db.Flush())
	check(db.Compact(context.Background(), []byte("a"), []byte("z"), false))
	value, closer, err := db.Get([]byte("key04711"))
	check(err)
	fmt.Printf("%s\n", value)
	check(closer.Close())
	check(db.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
