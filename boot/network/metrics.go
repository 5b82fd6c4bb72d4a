//go:build tailoros

package network

// metrics says that the image serves figures (boot/scrape). The port writes true here for one that
// does.
const metrics = false
