//go:build tailoros

package timesync

import (
	"net"
	"strconv"
	"time"
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/boot/parameters"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/netstack"
	"github.com/tailor-os/tailor/ntp"
)

//go:linkname clockAdjust runtime.tailor_clockAdjust
func clockAdjust(step, rate int64) bool

//go:linkname battery runtime.tailor_battery
func battery() int64

func init() {
	k := &keeper{machine: machine{
		adjust:  func(step time.Duration, rate int64) bool { return clockAdjust(int64(step), rate) },
		battery: battery,
		found:   found,
		say:     func(line string) { println("tailor: clock:", line) },
		pause:   time.Sleep,
	}, interval: minPoll}
	for _, name := range parameters.Given().All("ntp") {
		k.named = append(k.named, withPort(name))
	}
	k.ours = k.adjust(0, 0)
	metrics.Register(k.write)
	go func() {
		for k.look(); ; {
			k.turn()
		}
	}()
}

func withPort(host string) string { return net.JoinHostPort(host, strconv.Itoa(ntp.Port)) }

// found returns the servers of the leases, eth0's first.
func found() (list []string) {
	s, err := netstack.Default()
	if err != nil {
		return nil
	}
	for _, f := range s.Found() {
		for _, a := range f.NTP {
			list = append(list, withPort(a.String()))
		}
	}
	return list
}
