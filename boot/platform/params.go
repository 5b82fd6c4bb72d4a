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
	if err == nil && !volumes {
		err = checkBlocks()
	}
	if platformInfo().Truncated&abi.TruncatedCmdLine != 0 {
		// First: the last word may be a part of one.
		err = errors.New("the command line has more than the " + strconv.Itoa(abi.MaxCmdLine-1) + " bytes that there is room for")
	}
	if err != nil {
		libos.Fail(err)
	}
}

// checkBlocks refuses parameters of block devices for an image that looks at none: its
// program would run without its data.
func checkBlocks() error {
	for _, p := range [...][2]string{{"volume", "mounts volumes"}, {"disk", "shows disks"}} {
		if list := libos.BootParams().All(p[0]); len(list) > 0 {
			return errors.New(p[0] + "=" + list[0] + ": the program was built without what " + p[1] + "; rebuild it with: tailor build --" + p[0] + "s")
		}
	}
	return nil
}
