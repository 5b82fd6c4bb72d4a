package volume

import "errors"

var errExt4 = errors.New("ext4 is not supported by this tailor")

func (v *Volume) mountExt4(Options) error    { return errExt4 }
func (v *Volume) checkExt4(*Report) error    { return errExt4 }
func (v *Volume) describeExt4(*Report) error { return errExt4 }
