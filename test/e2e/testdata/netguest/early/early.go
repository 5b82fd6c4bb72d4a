// Package early looks a name up before most packages are initialized: it imports little.
package early

import (
	"net"
	"os"
)

// Err is what became of it, if the program was asked to.
var Err error

func init() {
	if len(os.Args) > 2 && os.Args[1] == "early" {
		_, Err = net.LookupHost(os.Args[2])
	}
}
