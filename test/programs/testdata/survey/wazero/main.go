// Command wazero runs a WebAssembly function with github.com/tetratelabs/wazero.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
)

// add is (module (func (export "add") (param i32 i32) (result i32)
// local.get 0 local.get 1 i32.add)).
var add = []byte("\x00asm\x01\x00\x00\x00\x01\x07\x01\x60\x02\x7f\x7f\x01\x7f\x03\x02\x01\x00\x07\x07\x01\x03add\x00\x00\x0a\x09\x01\x07\x00\x20\x00\x20\x01\x6a\x0b")

func main() {
	config := wazero.NewRuntimeConfig() // the compiler where it can, otherwise the interpreter
	if len(os.Args) > 1 && os.Args[1] == "compiler" {
		config = wazero.NewRuntimeConfigCompiler()
	}
	ctx := context.Background()
	module, err := wazero.NewRuntimeWithConfig(ctx, config).Instantiate(ctx, add)
	if err != nil {
		panic(err)
	}
	result, err := module.ExportedFunction("add").Call(ctx, 20, 22)
	if err != nil {
		panic(err)
	}
	fmt.Println("add:", result[0])
}
