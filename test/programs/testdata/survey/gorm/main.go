// Command gorm maps rows to structs with gorm.io/gorm on a pure Go SQLite.
package main

import (
	"fmt"

	"github.com/glebarez/sqlite"
	"gorm.io/gorm"
)

// A Person is a row.
type Person struct {
	gorm.Model
	Name string
}

func main() {
	db, err := gorm.Open(sqlite.Open("/tmp/gorm.sqlite"), &gorm.Config{})
	if err != nil {
		panic(err)
	}
	if err := db.AutoMigrate(&Person{}); err != nil {
		panic(err)
	}
	db.Create(&Person{Name: "Ada"})
	var found Person
	if err := db.First(&found, "name = ?", "Ada").Error; err != nil {
		panic(err)
	}
	fmt.Println("row", found.ID, found.Name)
}
