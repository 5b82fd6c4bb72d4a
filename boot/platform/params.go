//go:build tailoros

package platform

import (
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/params"
)

//go:linkname systemWords runtime.tailor_systemWords
func systemWords() []string

//go:linkname exit runtime.tailor_exit
func exit(code int)

// exitFailure is the exit code of a failure of Tailor's, as the tool has it.
const exitFailure = 125

// checkParams ends the program before it begins if a boot parameter is wrong.
func checkParams() {
	if err := params.Check(systemWords()); err != nil {
		println("tailor: error:", err.Error())
		exit(exitFailure)
	}
}
