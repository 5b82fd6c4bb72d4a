package disk

import (
	"strings"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
)

// CheckParams refuses a command line that cannot be written to a disk: too long,
// or with characters that end or separate lines. What it means is the
// guest's matter: see package params.
func CheckParams(params string) error {
	if len(params) >= abi.MaxCmdLine {
		return hint.Errorf("put what is long into a file of the image: --file SRC:DST",
			"the parameters have %d bytes, %d are the most", len(params), abi.MaxCmdLine-1)
	}
	bad := strings.IndexFunc(params, func(r rune) bool { return r < ' ' || r == 0x7f })
	if bad >= 0 {
		return hint.Errorf("separate parameters with spaces",
			"the parameters have a control character (%q) at byte %d", params[bad], bad)
	}
	return nil
}
