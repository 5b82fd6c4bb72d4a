//go:build tailoros && !tailorunix

package parameters

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

// Given returns the parameters of the program.
func Given() params.Words { return libos.BootParams() }

// Fail ends the program before it begins.
func Fail(err error) { libos.Fail(err) }
