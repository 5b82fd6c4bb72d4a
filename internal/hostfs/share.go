// Package hostfs serves folders of the host to a guest: the server side of the
// FUSE protocol (include/uapi/linux/fuse.h, as virtio-fs carries it), for one
// folder a [Server].
package hostfs

// A Mode says what a guest may change in a share.
type Mode uint8

const (
	// ReadOnly lets the guest change nothing.
	ReadOnly Mode = iota
	// Named lets the guest create, write, truncate and remove the files that
	// Share.Names lists, and change nothing else.
	Named
	// ReadWrite lets the guest change everything in the share that the user who
	// runs tailor may change.
	ReadWrite
)

// A Share is a folder of the host that a guest may use.
type Share struct {
	Dir  string // the folder on the host
	Mode Mode
	// Names are files, by their slash-separated paths relative to Dir ("c.out",
	// "sub/cpu.prof"), for Mode Named. They need not exist, their folders must.
	Names []string
}
