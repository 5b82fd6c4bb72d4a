//go:build tailoros

package platform

import (
	"errors"
	"strconv"
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

//go:linkname systemWords runtime.tailor_systemWords
func systemWords() []string

// checkParams ends the program before it begins if a boot parameter is wrong, or if
// there may be more of them than the boot stub had room for.
func checkParams() {
	err := params.Check(systemWords())
	if err == nil {
		err = params.CheckServices(systemWords())
	}
	if platformInfo().Truncated&abi.TruncatedCmdLine != 0 {
		// First: the last word may be a part of one.
		err = errors.New("the command line has more than the " + strconv.Itoa(abi.MaxCmdLine-1) + " bytes that there is room for")
	}
	if err != nil {
		libos.Fail(err)
	}
}
