//go:build tailoros

package volumes

import (
	"errors"
	"strconv"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/part"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/virtio/blkdev"
)

// devices are the block devices there are, with their names.
type devices struct {
	list   []*blkdev.Device
	names  []string
	tables []*part.Table // nil for a device without partitions
}

// open opens all block devices. What is wrong with one is said, and it is left
// out: it need not be one that is asked for.
func open() *devices {
	var ds devices
	for n := 0; ; n++ {
		d := event.Device(abi.DeviceBlock, n)
		if d == nil {
			return &ds
		}
		dev, err := blkdev.New(d, blkdev.Config{Notify: event.Bell, Waiter: event.Waiter{}, Yield: event.Yield})
		if err != nil {
			println("tailor: block device", n, "cannot be used:", err.Error())
			continue
		}
		name := dev.Name()
		if name == "" {
			name = "vd" + string([]byte{byte('a' + n%26)})
		}
		ds.list, ds.names = append(ds.list, dev), append(ds.names, name)
	}
}

// find returns the device or partition with a name.
func (ds *devices) find(name string, readOnly bool) (block.Device, error) {
	d, err := ds.lookup(name)
	switch {
	case err != nil:
		return nil, err
	case d.ReadOnly() && !readOnly:
		return nil, errors.New("its device is read-only: mount it with :ro")
	case readOnly:
		return block.ReadOnly(d), nil
	}
	return d, nil
}

// readTables reads the tables of partitions, the first time that one is asked for.
func (ds *devices) readTables() {
	for _, d := range ds.list[len(ds.tables):] {
		table, err := part.Read(d)
		if err != nil {
			table = nil // the device need not have partitions
		}
		ds.tables = append(ds.tables, table)
	}
}

func (ds *devices) lookup(name string) (block.Device, error) {
	for i, n := range ds.names {
		if n == name {
			return ds.list[i], nil
		}
	}
	ds.readTables()
	for i, n := range ds.names {
		table := ds.tables[i]
		if table == nil {
			continue
		}
		for _, p := range table.Partitions {
			if p.Name == name || n+strconv.Itoa(p.Number) == name {
				return table.Open(ds.list[i], p.Number)
			}
		}
	}
	have := ""
	for _, n := range ds.names {
		have += " " + n
	}
	if have == "" {
		return nil, errors.New("there is no block device")
	}
	return nil, errors.New("there is no block device of that name; there are:" + have)
}
