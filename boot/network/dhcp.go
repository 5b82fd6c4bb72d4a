//go:build tailoros

package network

// dhcp says that the image has a client of DHCP. The port writes true here for
// one that does.
const dhcp = false
