package monitor

import (
	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/devices"
)

// layoutDevices decides which devices the guest has and where their queues are.
func layoutDevices(cfg *Config) ([]abi.Device, error) {
	specs := []devices.Spec{devices.ConsoleSpec()}
	if n := cfg.Net; n != nil {
		specs = append(specs, devices.NetSpec("net", n.MAC, n.MTU, devices.Offloads))
	}
	return devices.Layout(abi.RingAddr, abi.RingEnd, specs...)
}

// attachDevices puts the back ends behind the devices of the table.
func attachDevices(bus *devices.Bus, table []abi.Device, cfg *Config) error {
	for i := range table {
		var err error
		switch d := &table[i]; d.Type {
		case abi.DeviceConsole:
			err = bus.AddConsole(d, devices.ConsoleConfig{
				Input: cfg.Stdin, Output: cfg.Stdout, Error: cfg.Stderr,
			})
		case abi.DeviceNet:
			var net *devices.Net
			net, err = bus.AddNet(d, cfg.Net.FD)
			cfg.Net.stats = net.Stats
		}
		if err != nil {
			return err
		}
	}
	return nil
}
