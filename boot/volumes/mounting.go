//go:build tailoros

package volumes

// mounting says that the image mounts volumes, not secrets alone. The port writes true
// here for one that does.
const mounting = false
