// Command migrate migrates a SQLite database with
// github.com/golang-migrate/migrate, from embedded files.
package main

import (
	"embed"
	"fmt"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
)

//go:embed *.sql
var steps embed.FS

func main() {
	source, err := iofs.New(steps, ".")
	check(err)
	m, err := migrate.NewWithSourceInstance("iofs", source, "sqlite:///tmp/migrate.sqlite")
	check(err)
	check(m.Up())
	version, dirty, err := m.Version()
	check(err)
	fmt.Println("version", version, dirty)
	check(m.Down())
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
