// Command badger keeps keys in a github.com/dgraph-io/badger database.
package main

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

func main() {
	db, err := badger.Open(badger.DefaultOptions("/tmp/badger").WithLoggingLevel(badger.ERROR).
		WithMemTableSize(8 << 20).WithValueThreshold(1 << 10).WithValueLogFileSize(8 << 20).WithBlockCacheSize(4 << 20))
	check(err)
	batch := db.NewWriteBatch()
	for i := range 10000 {
		check(batch.Set(fmt.Appendf(nil, "key%05d", i), fmt.Appendf(nil, "value %d", i)))
	}
	check(batch.Flush())
	check(db.View(func(tx *badger.Txn) error {
		item, err := tx.Get([]byte("key04711"))
		if err != nil {
			return err
		}
		return item.Value(func(v []byte) error { fmt.Printf("%s\n", v); return nil })
	}))
	check(db.Close())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
