//go:build !tailoros

package netstack

import "gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

func end(c *tcp.Endpoint) { c.Abort() }
