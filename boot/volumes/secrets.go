//go:build tailoros

package volumes

import (
	"errors"
	"slices"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/tarmount"
)

// maxKey bounds the key of a volume, in bytes.
const maxKey = 8 << 10

// A vault is the volume of secrets; fs is nil if there is none.
type vault struct{ fs libos.FileSystem }

func openSecrets(devs *devices) (v vault, err error) {
	if !slices.Contains(devs.names, secretsName) {
		return v, nil
	}
	d, err := devs.find(secretsName, true)
	if err != nil {
		return v, err
	}
	// Not straight into v: an interface with a nil pointer in it is not nil.
	fs, err := tarmount.Open(d, event.Fixed)
	if err != nil {
		return v, err
	}
	return vault{fs}, nil
}

// folder returns a folder of the volume, nil if it has none of that name.
func (v vault) folder(name string) libos.Directory {
	if v.fs == nil {
		return nil
	}
	n, _ := v.fs.Root().Lookup(name)
	dir, _ := n.(libos.Directory)
	return dir
}

// show mounts the secrets that are for the program.
func (v vault) show() error {
	dir := v.folder(secretsDir)
	if dir == nil {
		return nil
	}
	if errno := libos.MountNode(secretsPath, v.fs, dir); errno != 0 {
		return failed(errno)
	}
	return nil
}

// hasKey reports whether there is a key for the device of that name.
func (v vault) hasKey(name string) bool {
	dir := v.folder(keysDir)
	if dir == nil {
		return false
	}
	_, errno := dir.Lookup(name)
	return errno == 0
}

// unlock returns what is in the encrypted device d, which is the volume of that name.
func (v vault) unlock(d block.Device, name string, opener Opener) (block.Device, error) {
	if opener == nil {
		return nil, errors.New("it is encrypted, and the program was built without what opens it; rebuild it with: tailor build --luks")
	}
	dir := v.folder(keysDir)
	if dir == nil {
		return nil, missing(name)
	}
	key, ok, err := readFile(dir, name, maxKey)
	if err != nil {
		return nil, errors.New("its key: " + err.Error())
	}
	if !ok {
		return nil, missing(name)
	}
	if len(key) == 0 {
		return nil, errors.New("its key is empty")
	}
	return opener(d, key)
}

// missing is the error of an encrypted volume without a key.
func missing(name string) error {
	return errors.New("it is encrypted, and its key is missing: give it with --key-file " + name + "=FILE" +
		" (with other hypervisors, as file " + keysDir + "/" + name + " of the volume " + secretsName + ")")
}
