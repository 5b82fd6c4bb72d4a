//go:build tailoros && tailorunix

package logs

import (
	"os"

	"github.com/tailor-os/tailor/params"
)

// variable has the parameters of a plain program, which is not booted.
const variable = "TAILOR_PARAMS"

// parameters are those of the environment.
func parameters() params.Words {
	text := os.Getenv(variable)
	line, err := params.Split(text)
	if err == nil {
		err = params.Check(line.System)
	}
	if err != nil {
		fail(err)
	}
	return params.Words(text)
}

// fail ends the program before it begins, as libos does in an image.
func fail(err error) {
	println("tailor: error:", err.Error())
	os.Exit(125)
}
