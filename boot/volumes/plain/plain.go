//go:build tailoros

// Package plain mounts volumes in an image that cannot open encrypted ones.
package plain

import "github.com/tailor-os/tailor/boot/volumes"

func init() { volumes.Start(nil) }
