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
	uses   []use
}

// A use is a part of a device that is a volume or a disk.
type use struct {
	block.Device
	number     int   // of the device
	start, end int64 // on it, in bytes
	name       string
	readOnly   bool
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
			name = blkdev.DefaultName(n)
		}
		ds.list, ds.names = append(ds.list, dev), append(ds.names, name)
	}
}

// find returns the device or partition with a name, for one use, or for several that
// all only read.
func (ds *devices) find(name string, readOnly bool) (block.Device, error) {
	u, err := ds.lookup(name)
	switch {
	case err != nil:
		return nil, err
	case u.ReadOnly() && !readOnly:
		return nil, errors.New("its device is read-only: ask for it with :ro")
	}
	u.name, u.readOnly = name, readOnly
	for _, v := range ds.uses {
		if v.number == u.number && v.start < u.end && u.start < v.end && !(v.readOnly && readOnly) {
			return nil, errors.New("its device is in use as " + v.name + " already: ask for it once, or with :ro each time")
		}
	}
	ds.uses = append(ds.uses, u)
	if readOnly {
		return block.ReadOnly(u.Device), nil
	}
	return u.Device, nil
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

func (ds *devices) lookup(name string) (use, error) {
	for i, n := range ds.names {
		if n == name {
			return use{Device: ds.list[i], number: i, end: ds.list[i].Size()}, nil
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
				d, err := table.Open(ds.list[i], p.Number)
				return use{Device: d, number: i, start: p.Start, end: p.Start + p.Size}, err
			}
		}
	}
	have := ""
	for _, n := range ds.names {
		have += " " + n
	}
	if have == "" {
		return use{}, errors.New("there is no block device")
	}
	return use{}, errors.New("there is no block device of that name; there are:" + have)
}
