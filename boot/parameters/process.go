//go:build !tailoros || tailorunix

package parameters

import (
	"os"

	"github.com/tailor-os/tailor/params"
)

// variable has the parameters of a plain process, whose children do not inherit them
// but for those of disks.
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
	leave(text)
	return params.Words(text)
}

// leave leaves in the variable what package disk reads.
func leave(text string) {
	line, _ := params.Split(text)
	var rest params.Line
	for _, word := range line.System {
		if params.IsDisk(word) {
			rest.System = append(rest.System, word)
		}
	}
	// Neither can fail: the name is a good one, and there is no zero byte.
	if rest.System == nil {
		_ = os.Unsetenv(variable)
	} else {
		_ = os.Setenv(variable, rest.String())
	}
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
