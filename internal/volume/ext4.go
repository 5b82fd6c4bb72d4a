package volume

import "errors"

func (v *Volume) mountExt4(o Options) error {
	return errors.New("ext4 is not supported by this tailor")
}
