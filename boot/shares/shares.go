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
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/libos/fusefs"
	"github.com/tailor-os/tailor/virtio/fsdev"
	"github.com/tailor-os/tailor/virtio/queue"
)

// SAFETY: the addresses converted to pointers in this file are the starter's, of
// memory outside the Go heap that is never freed; buffers are only looked at.

//go:linkname device runtime.tailor_device
func device(typ uint32, n int) *abi.Device

//go:linkname bell runtime.tailor_bellNotify
func bell(queue uint32)

//go:linkname irqRegister runtime.tailor_irqRegister
func irqRegister(used *uint32, event *uint16) int

//go:linkname irqWait runtime.tailor_irqWait
func irqWait(n int, seen uint16, foreground bool)

//go:linkname onStack runtime.tailor_onStack
func onStack(p unsafe.Pointer) bool

func init() {
	for _, m := range libos.BootParams().All("mount") {
		if err := mount(m); err != nil {
			println("tailor: mount="+m+":", err.Error())
		}
	}
	for _, p := range libos.BootParams().All("empty") {
		if dir, ok := fusefs.Unescape(p); ok {
			if errno := libos.MountEmpty(dir); errno != 0 {
				println("tailor: empty="+dir+": error", errno)
			}
		}
	}
	if dir, ok := fusefs.Unescape(libos.BootParams().Get("cwd")); ok && dir != "" {
		libos.UseFiles()
		if errno := libos.ChangeDirectory(dir); errno != 0 {
			println("tailor: cwd="+dir+": error", errno)
		}
	}
}

// mount mounts what one parameter says.
func mount(param string) error {
	tag, path, kind, ok := fusefs.ParseMount(param)
	if !ok {
		return errors.New("not of the form TAG:PATH:KIND")
	}
	dev, err := open(tag)
	if err != nil {
		return err
	}
	libos.UseFiles()
	var fs libos.FileSystem = fusefs.New(dev, fusefs.Options{ReadOnly: kind != "rw", Fixed: fixed})
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
		d := device(abi.DeviceFS, n)
		if d == nil {
			return nil, errors.New("there is no such device")
		}
		dev, err := fsdev.New(d, fsdev.Config{Notify: bell, Waiter: waiter{}})
		if err != nil {
			return nil, err
		}
		if dev.Tag() == tag {
			return dev, nil
		}
	}
}

// fixed reports whether a buffer stays where it is: the caller's stack moves.
func fixed(p []byte) bool { return !onStack(unsafe.Pointer(unsafe.SliceData(p))) }

// waiter parks a driver's goroutine in the scheduler's event loop.
type waiter struct{}

// irqs are the event loop's numbers of the queues that have been waited for.
var irqs = map[*uint16]int{}

// Wait is called by one goroutine for each queue, and only when a request is
// outstanding: the program waits for something from outside.
func (waiter) Wait(w *queue.Waitable) {
	n, ok := irqs[w.UsedIdx]
	if !ok {
		// The index is the upper half of the word that begins with flags.
		n = irqRegister((*uint32)(unsafe.Add(unsafe.Pointer(w.UsedIdx), -2)), w.UsedEvent)
		if n < 0 {
			panic("tailor: too many virtqueues")
		}
		irqs[w.UsedIdx] = n
	}
	irqWait(n, w.Seen, true)
}
