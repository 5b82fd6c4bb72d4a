// Command goja runs JavaScript with github.com/dop251/goja.
package main

import (
	"fmt"

	"github.com/dop251/goja"
)

func main() {
	value, err := goja.New().RunString(`
		class Person { constructor(name) { this.name = name } greet() { return "hello, " + this.name } }
		["a", "b"].map(n => new Person(n).greet()).join("; ")`)
	if err != nil {
		panic(err)
	}
	fmt.Println(value)
}
