//go:build tailoros && !tailorunix

package logs

import (
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

func parameters() params.Words { return libos.BootParams() }

func fail(err error) { libos.Fail(err) }
