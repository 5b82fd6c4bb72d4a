//go:build tailoros

package volumes

// logs says that the image can send its log. The port writes true here for one
// that can.
const logs = false
