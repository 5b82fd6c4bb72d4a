// Package tailor carries the source of everything that goes into an image, so
// that the tool can lay it over a user's Go tree wherever it is installed.
package tailor

import "embed"

// Source holds the guest's packages (abi, block, boot, entropy, libos, logs, machine,
// metrics, names, netstack, ntp, params, virtio, volume) as they are in this repository, and go.mod and go.sum, which pin the
// modules they use.
//
// Tests are not in it. No pattern says so, but these do together: names that do not end in t, those
// in t but not in st, in st but not in est, and so on up to _test. A pattern must match
// something, so only those are here that do; TestSource says which one is missing.
//
//go:embed go.mod go.sum
//go:embed abi/*[^t].go
//go:embed block/*[^t].go block/*/*[^t].go block/*/*[^s]t.go block/*/*/*[^t].go block/*/*/*.s
//go:embed boot/*/*[^t].go boot/*/*[^s]t.go boot/*/*[^e]st.go boot/*/*[^t]est.go boot/*/*/*[^t].go boot/*/*/*/*[^t].go
//go:embed entropy/*[^t].go
//go:embed libos/*[^t].go libos/*[^s]t.go libos/*[^e]st.go libos/*[^t]est.go libos/*/*[^t].go libos/*/*[^s]t.go
//go:embed logs/*[^t].go logs/*/*[^t].go
//go:embed machine/*[^t].go machine/*[^s]t.go machine/*.s
//go:embed metrics/*[^t].go
//go:embed names/*[^t].go names/*/*[^t].go names/*/*[^s]t.go
//go:embed netstack/*[^t].go netstack/*[^s]t.go netstack/*[^e]st.go netstack/*[^t]est.go netstack/*/*[^t].go netstack/*/*[^s]t.go
//go:embed ntp/*[^t].go ntp/*[^s]t.go
//go:embed params/*[^t].go params/*[^s]t.go
//go:embed virtio/*[^t].go virtio/*/*[^t].go virtio/*/*[^s]t.go virtio/*/*[^t]est.go virtio/*/*/*[^t].go
//go:embed volume/*/*[^t].go volume/*/*[^s]t.go
var Source embed.FS

// Module is this module's path: the prefix of the guest packages' imports.
const Module = "github.com/tailor-os/tailor"
