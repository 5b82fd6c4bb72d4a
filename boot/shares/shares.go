//go:build tailoros

// Package shares mounts the host's folders that the starter offers, before the
// program runs. It is linked into images that are to see such folders, which
// those of tests are.
//
// Boot parameters say where: mount=TAG:PATH:KIND for the device with that tag,
// with what is special in PATH as %XX, and KIND "ro" (every change fails with
// EROFS), "overlay" (changes stay in the guest's memory) or "rw" (the host
// decides). empty=PATH then hides what is in that directory, and cwd=PATH makes
// one the working directory.
package shares

import (
	"errors"
	"strconv"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/fusefs"
	"github.com/tailor-os/tailor/params"
	"github.com/tailor-os/tailor/virtio/fsdev"
)

func init() {
	for _, m := range libos.BootParams().All("mount") {
		if err := mount(m); err != nil {
			println("tailor: mount="+m+":", err.Error())
		}
	}
	for _, p := range libos.BootParams().All("empty") {
		if dir, ok := params.Unescape(p); ok {
			if errno := libos.MountEmpty(dir); errno != 0 {
				println("tailor: empty="+dir+": error", errno)
			}
		}
	}
	if dir, ok := params.Unescape(libos.BootParams().Get("cwd")); ok && dir != "" {
		libos.UseFiles()
		if errno := libos.ChangeDirectory(dir); errno != 0 {
			println("tailor: cwd="+dir+": error", errno)
		}
	}
}

// mount mounts what one parameter says.
func mount(param string) error {
	tag, path, kind, ok := params.ParseMount(param)
	if !ok {
		return errors.New("not of the form TAG:PATH:KIND")
	}
	dev, err := open(tag)
	if err != nil {
		return err
	}
	libos.UseFiles()
	var fs libos.FileSystem = fusefs.New(dev, fusefs.Options{ReadOnly: kind != "rw", Fixed: event.Fixed})
	errno := libos.MakeDirectories(path)
	if errno == 0 && kind == "overlay" {
		fs, errno = libos.Overlay(fs.Root())
	}
	if errno == 0 {
		errno = libos.Mount(path, fs)
	}
	if errno != 0 {
		return errors.New("error " + strconv.Itoa(int(errno)))
	}
	return nil
}

// open returns the device with a tag.
func open(tag string) (*fsdev.Device, error) {
	for n := 0; ; n++ {
		d := event.Device(abi.DeviceFS, n)
		if d == nil {
			return nil, errors.New("there is no such device")
		}
		dev, err := fsdev.New(d, fsdev.Config{Notify: event.Bell, Waiter: event.Waiter{}})
		if err != nil {
			return nil, err
		}
		if dev.Tag() == tag {
			return dev, nil
		}
	}
}
