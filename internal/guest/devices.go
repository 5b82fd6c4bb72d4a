package guest

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
	"github.com/tailor-os/tailor/internal/hostfs"
)

// Layout decides which devices the guest has and where their queues are.
func Layout(cfg *Config) ([]abi.Device, error) {
	specs := []devices.Spec{devices.ConsoleSpec()}
	for i, n := range cfg.Nets {
		name := "net"
		if i > 0 {
			name += strconv.Itoa(i)
		}
		specs = append(specs, devices.NetSpec(name, n.MAC, n.MTU, devices.Offloads))
	}
	for i := range cfg.Shares {
		specs = append(specs, devices.FSSpec(shareTag(i)))
	}
	for _, v := range cfg.Volumes {
		specs = append(specs, devices.BlkSpec(v.Name, v.Disk))
	}
	queues := 0
	for _, s := range specs {
		queues += len(s.QueueSizes)
	}
	if queues > abi.MaxBells {
		return nil, fmt.Errorf("%d shares and %d volumes are too many: with the other devices they have %d queues, and a guest at most %d",
			len(cfg.Shares), len(cfg.Volumes), queues, abi.MaxBells)
	}
	return devices.Layout(abi.RingAddr, abi.RingEnd, specs...)
}

// Attach puts the back ends behind the devices of the table.
func Attach(bus *devices.Bus, table []abi.Device, cfg *Config, shares []*hostfs.Server) error {
	volumes, nets := cfg.Volumes, cfg.Nets
	for i := range table {
		var err error
		switch d := &table[i]; d.Type {
		case abi.DeviceConsole:
			err = bus.AddConsole(d, devices.ConsoleConfig{
				Input: cfg.Stdin, Output: cfg.Stdout, Error: cfg.Stderr,
			})
		case abi.DeviceNet:
			var net *devices.Net
			net, err = bus.AddNet(d, nets[0].FD)
			nets[0].stats = net.Stats
			nets = nets[1:]
		case abi.DeviceFS:
			err = bus.AddFS(d, shares[0])
			shares = shares[1:]
		case abi.DeviceBlock:
			err = bus.AddBlk(d, volumes[0].Disk)
			volumes = volumes[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// shareTag is what the guest knows a share by.
func shareTag(i int) string { return "share" + strconv.Itoa(i) }

// maxShares bounds the shares of one guest: Layout bounds all its queues.
const maxShares = 24

// OpenShares opens the folders that the guest is to see.
func OpenShares(list []Share) (open []*hostfs.Server, err error) {
	if len(list) > maxShares {
		return nil, fmt.Errorf("%d shares are too many (at most %d)", len(list), maxShares)
	}
	for _, s := range list {
		if !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path || s.Path == "/" {
			err = fmt.Errorf("share %s: %q is no absolute path to see it at", s.Dir, s.Path)
		} else if s.Overlay && s.Mode != hostfs.ReadOnly {
			err = fmt.Errorf("share %s: an overlay needs a share that is read-only", s.Dir)
		}
		var server *hostfs.Server
		if err == nil {
			server, err = hostfs.New(s.Share)
		}
		if err != nil {
			CloseShares(open)
			return nil, err
		}
		open = append(open, server)
	}
	return open, nil
}

// CloseShares closes what OpenShares has opened.
func CloseShares(open []*hostfs.Server) {
	for _, s := range open {
		s.Close()
	}
}

// shareParams tells the guest where to mount shares: mount=TAG:PATH:KIND, with
// what is special in a boot parameter as %XX.
func shareParams(list []Share) string {
	var b strings.Builder
	for i, s := range list {
		kind := "rw"
		switch {
		case s.Overlay:
			kind = "overlay"
		case s.Mode == hostfs.ReadOnly:
			kind = "ro"
		}
		fmt.Fprintf(&b, " mount=%s:%s:%s", shareTag(i), EscapeParam(s.Path), kind)
	}
	return b.String()
}

// VolumeParams tells the guest where to mount volumes, volume=NAME:PATH:KIND, and which
// disks to show, disk=NAME or disk=NAME:ro.
func VolumeParams(list []Volume) string {
	var b strings.Builder
	for _, v := range list {
		mode := "rw"
		if v.ReadOnly {
			mode = "ro"
		}
		switch {
		case v.Raw && v.ReadOnly:
			b.WriteString(" disk=" + v.Name + ":ro")
		case v.Raw:
			b.WriteString(" disk=" + v.Name)
		case v.Path != "":
			fmt.Fprintf(&b, " volume=%s:%s:%s", v.Name, EscapeParam(v.Path), mode)
		}
	}
	return b.String()
}

// EscapeParam writes all but letters, digits and a few others as %XX, as boot
// parameters that are paths are read.
func EscapeParam(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("/._-@+", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
