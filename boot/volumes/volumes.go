//go:build tailoros

// Package volumes mounts volumes, which are file systems on block devices, before
// the program begins. It is linked beneath package syscall into images that are
// to see any.
//
// Boot parameters say where: volume=NAME:PATH:KIND for the device NAME, with what
// is special in PATH as %XX, and KIND "ro" or "rw". NAME is the device's own
// (its serial number), or else vda, vdb and so on in the order in which devices
// were found; or the name of a partition of a GPT; or a device's and behind it a
// partition's number.
//
// Two names mean more: the files of the volume "secrets" are in /run/secrets, and
// the file tailor.params of the volume "conf" has settings.
//
// What cannot be mounted ends the start: a program must not run without its data.
package volumes

import (
	"errors"
	"internal/runtime/exithook"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

// Names of volumes that mean something.
const (
	secretsName = "secrets"
	confName    = "conf"

	secretsPath  = "/run/secrets"
	secretsDir   = "secrets" // of the volume
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
			println("tailor: volume", name, "could not be closed: error", int(errno))
		}
	}})
}

func init() {
	devs := open()
	list, err := asked()
	if err == nil {
		err = start(devs, list)
	}
	if err != nil {
		libos.Fail(err)
	}
}

func start(devs *devices, list []volume) error {
	for i := range list {
		v := &list[i]
		d, err := devs.find(v.name, v.readOnly)
		if err == nil {
			v.fs, err = mount(d, v.readOnly)
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
	if err := secrets(devs); err != nil {
		return errors.New("secrets: " + err.Error())
	}
	return show(list)
}

// asked returns the volumes of the boot parameters, outer paths first.
func asked() (list []volume, err error) {
	for _, value := range libos.BootParams().All("volume") {
		name, path, kind, ok := params.ParseMount(value)
		if !ok {
			return nil, errors.New("volume=" + value + " is not of the form NAME:PATH:KIND")
		}
		v := volume{name: name, path: path, readOnly: kind == "ro"}
		i := len(list)
		for i > 0 && len(list[i-1].path) > len(path) {
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
		libos.UseFiles()
		errno := libos.MakeDirectories(v.path)
		if errno == 0 {
			errno = libos.Mount(v.path, v.fs)
		}
		if errno != 0 {
			return errors.New("volume " + v.name + " cannot be mounted at " + v.path + ": " + failed(errno).Error())
		}
		if c, ok := v.fs.(closer); ok && !v.readOnly {
			closeAtEnd(v.name, c)
		}
	}
	return nil
}
