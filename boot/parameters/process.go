//go:build !tailoros || tailorunix

package parameters

import (
	"os"

	"github.com/tailor-os/tailor/params"
)

// variable has the parameters of a plain process, whose children do not inherit it.
const variable = "TAILOR_PARAMS"

var given = take()

// Given returns the parameters of the program.
func Given() params.Words { return given }

func take() params.Words {
	text := os.Getenv(variable)
	if text == "" {
		return ""
	}
	if err := check(text); err != nil {
		Fail(err)
	}
	_ = os.Unsetenv(variable) // whose name is a good one
	return params.Words(text)
}

func check(text string) error {
	line, err := params.Split(text)
	if err != nil {
		return err
	}
	if len(line.Env)+len(line.Args) > 0 {
		return params.Error(variable + " has variables or arguments, which a plain process is given as its own")
	}
	if err := params.Check(line.System); err != nil {
		return err
	}
	for _, word := range line.System {
		if !params.OfProcess(word) {
			return params.Error("boot parameter " + params.Quote(word) + ": a plain process is not booted")
		}
	}
	return params.CheckServices(line.System)
}

// Fail ends the program before it begins, as in an image.
func Fail(err error) {
	println("tailor: error:", err.Error())
	os.Exit(125)
}
