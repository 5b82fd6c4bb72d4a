//go:build tailoros

package volumes

// showing says that the image shows disks to its program. The port writes true here for
// one that does.
const showing = false
