//go:build tailoros

package platform

// logs says that the image can send its log. The port writes true here for one
// that can.
const logs = false
