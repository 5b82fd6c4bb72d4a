//go:build tailoros

// Package volumes mounts volumes, which are file systems on block devices, before
// the program begins. It is linked beneath package syscall into images that are
// to see any, by package plain or, if they are to open encrypted ones, luks.
//
// Boot parameters say where: volume=NAME:PATH:KIND for the device NAME, with what
// is special in PATH as %XX, and KIND "ro" or "rw". NAME is the device's own
// (its serial number), or else vda, vdb and so on in the order in which devices
// were found; or the name of a partition of a GPT; or a device's and behind it a
// partition's number.
//
// Two names mean more: the file tailor.params of the volume "conf" has settings,
// and the volume "secrets" is a tar with two folders: what is in "secrets" is shown
// in /run/secrets; "keys" has the keys of encrypted volumes by the names of these,
// and is not shown.
//
// What cannot be mounted ends the start: a program must not run without its data.
//
// disk=NAME, or disk=NAME:ro, shows a device itself to the program, as a block special
// file; an encrypted one decrypted if there is a key for it.
//
// An image has the code for one or for both, see mounting and showing.
package volumes

import (
	"errors"
	"internal/runtime/exithook"
	"path"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

// Names of volumes that mean something.
const (
	secretsName = "secrets"
	confName    = "conf"

	secretsPath  = "/run/secrets"
	secretsDir   = "secrets" // of the volume
	keysDir      = "keys"    // of the volume
	settingsFile = "tailor.params"
)

// A volume is one that is to be seen.
type volume struct {
	name, path string
	readOnly   bool
	fs         libos.FileSystem
}

// A closer is a file system that has something to write when the program ends.
type closer interface{ Close() libos.Errno }

// closeAtEnd closes a file system when the program has ended by itself.
func closeAtEnd(name string, fs closer) {
	exithook.Add(exithook.Hook{RunOnFailure: true, F: func() {
		if errno := fs.Close(); errno != 0 {
			println("tailor: volume", name, "could not be closed:", failed(errno).Error())
		}
	}})
}

// An Opener opens the encrypted device d: what is in it.
type Opener func(d block.Device, key []byte) (block.Device, error)

// Start mounts the volumes of the boot parameters; opener is nil in an image that
// cannot open encrypted ones. It does not return if something cannot be mounted.
func Start(opener Opener) {
	if err := start(open(), opener); err != nil {
		libos.Fail(err)
	}
}

func start(devs *devices, opener Opener) error {
	if err := checkBuilt(); err != nil {
		return err
	}
	secrets, err := openSecrets(devs)
	if err != nil {
		return errors.New(secretsName + ": " + err.Error())
	}
	if mounting {
		err = startVolumes(devs, secrets, opener)
	} else if err = secrets.show(); err != nil {
		err = errors.New(secretsName + ": " + err.Error())
	}
	if err == nil && showing {
		err = startDisks(devs, secrets, opener)
	}
	return err
}

// checkBuilt refuses parameters that ask for what was not linked.
func checkBuilt() error {
	for _, p := range [...]struct {
		name, what, flag string
		linked           bool
	}{{"volume", "mounts volumes", "--volumes", mounting}, {"disk", "shows disks", "--disks", showing}} {
		if list := libos.BootParams().All(p.name); len(list) > 0 && !p.linked {
			return errors.New(p.name + "=" + list[0] + ": the program was built without what " + p.what + "; rebuild it with: tailor build " + p.flag)
		}
	}
	return nil
}

// startVolumes mounts the volumes of the boot parameters.
func startVolumes(devs *devices, secrets vault, opener Opener) error {
	list, err := asked()
	if err != nil {
		return err
	}
	for i := range list {
		v := &list[i]
		d, err := devs.find(v.name, v.readOnly)
		if err == nil {
			v.fs, err = mount(d, v.readOnly, func() (block.Device, error) { return secrets.unlock(d, v.name, opener) })
		}
		if err != nil {
			return errors.New("volume " + v.name + ": " + err.Error())
		}
	}
	// Before there is a file tree, which has some of the settings in it.
	for i := range list {
		if list[i].name == confName {
			if err := settings(list[i].fs); err != nil {
				return errors.New("volume " + confName + ": " + settingsFile + ": " + err.Error())
			}
		}
	}
	if err := secrets.show(); err != nil {
		return errors.New(secretsName + ": " + err.Error())
	}
	return show(list)
}

// asked returns the volumes of the boot parameters, outer paths first.
func asked() (list []volume, err error) {
	for _, value := range libos.BootParams().All("volume") {
		name, place, kind, ok := params.ParseMount(value)
		if !ok {
			return nil, errors.New("volume=" + value + " is not of the form NAME:PATH:KIND")
		}
		v := volume{name: name, path: path.Clean(place), readOnly: kind == "ro"}
		if dir, _ := params.Own(v.path, v.readOnly); dir != "" {
			return nil, errors.New("volume " + name + " cannot be mounted at " + v.path + ": " + dir + " is the system's own")
		}
		i := len(list)
		for _, w := range list {
			if w.path == v.path {
				return nil, errors.New("volumes " + w.name + " and " + name + " are both to be at " + v.path)
			}
		}
		for i > 0 && len(list[i-1].path) > len(v.path) {
			i--
		}
		list = append(list, volume{})
		copy(list[i+1:], list[i:])
		list[i] = v
	}
	return list, nil
}

// show puts volumes into the file tree.
func show(list []volume) error {
	for _, v := range list {
		if errno := libos.Mount(v.path, v.fs); errno != 0 {
			return errors.New("volume " + v.name + " cannot be mounted at " + v.path + ": " + failed(errno).Error())
		}
		if c, ok := v.fs.(closer); ok && !v.readOnly {
			closeAtEnd(v.name, c)
		}
	}
	return nil
}
