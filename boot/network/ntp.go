//go:build tailoros

package network

// ntp says that the image has a client of NTP (boot/timesync). The port writes true
// here for one that does.
const ntp = false
