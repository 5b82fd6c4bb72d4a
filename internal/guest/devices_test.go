package guest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// A sizedDisk is none but for what its description needs.
type sizedDisk struct{}

func (sizedDisk) Size() int64                { return 1 << 20 }
func (sizedDisk) SectorSize() int            { return 512 }
func (sizedDisk) ReadOnly() bool             { return false }
func (sizedDisk) ReadAt([]byte, int64) error { return nil }
func (sizedDisk) WriteAt([]byte, int64) error {
	return nil
}
func (sizedDisk) Flush() error               { return nil }
func (sizedDisk) Discard(int64, int64) error { return nil }
func (sizedDisk) ReadNow([]byte, int64) bool { return true }

// Each queue has a bit among the bells, and none has one that means something else.
func TestLayoutQueues(t *testing.T) {
	cfg := &Config{Nets: []*Net{{MTU: 1500}}, Shares: make([]Share, maxShares)}
	const others = 3 + 2 + 2*maxShares // the console's, the network's and those of shares
	for i := range abi.MaxBells - others {
		cfg.Volumes = append(cfg.Volumes, Volume{Name: fmt.Sprint("v", i), Disk: sizedDisk{}})
	}
	table, err := Layout(cfg)
	if err != nil {
		t.Fatal(err)
	}
	last := table[len(table)-1].Queues[0].Notify
	if last != abi.MaxBells-1 || abi.BellBitIdle>>abi.MaxBells == 0 {
		t.Errorf("the last queue has bit %d", last)
	}
	cfg.Volumes = append(cfg.Volumes, Volume{Name: "more", Disk: sizedDisk{}})
	_, err = Layout(cfg)
	if err == nil || !strings.Contains(err.Error(), "24 shares and 4 volumes are too many") {
		t.Errorf("%v", err)
	}
}

// An image takes the volumes that it was built for, and says how it would take more.
func TestCheckVolumes(t *testing.T) {
	note := func(names ...string) image.Note {
		n := image.Note{Target: "virtio", Main: "m"}
		for _, name := range names {
			kind := "block"
			if rest, ok := strings.CutPrefix(name, "disk:"); ok {
				kind, name = "disk", rest
			}
			n.Devices = append(n.Devices, image.Device{Type: kind, Name: name})
		}
		return n
	}
	for _, tt := range []struct {
		note             image.Note
		list, want, hint string
	}{
		{note(), "", "", ""},
		{note(), "data", "not built to see volumes or secrets", "tailor build --volumes -t virtio m"},
		{note(""), "data other secrets conf", "", ""},
		{note("data"), "data secrets conf", "", ""},
		{note("data"), "data other", `knows no volume "other"; those that it was built for are: data`, "tailor build --needs data --needs other -t virtio m, or with --volumes"},
		{note("", "data"), "data other", "", ""},
		{note("", "data"), "other", `needs a volume "data"`, "--volume data=FILE:/PATH"},
		{note("secrets"), "conf", "needs secrets", "--secret NAME=FILE"},
		{note("secrets"), "secrets", "", ""},
		{note("data"), "data data", "two volumes have the name", ""},
		{note("", "disk:"), "data disk:data", "a volume and a disk have the name", ""},
		{note("data"), "data disk:d", "was not built to see disks", "tailor build --disks -t virtio m"},
		{note("disk:d"), "disk:d secrets", "", ""},
		{note("disk:d"), "disk:d conf", "not built to see volumes", ""},
		{note("disk:d"), "disk:d disk:conf", `knows no disk "conf"; those that it was built for are: d`, "tailor build --disk d --disk conf -t virtio m, or with --disks"},
		{note("disk:d"), "", `needs a disk "d"`, "--disk d=FILE"},
		{note("disk:d", "d"), "disk:d", `needs a volume "d"`, ""},
		{note("disk:", "disk:d"), "disk:d disk:other", "", ""},
		{note("disk:"), "disk:d disk:d", "two disks have the name", ""},
		{note("disk:"), "disk:secrets", "cannot have the name", ""},
	} {
		var list []Volume
		for _, name := range strings.Fields(tt.list) {
			name, raw := strings.CutPrefix(name, "disk:")
			list = append(list, Volume{Name: name, Raw: raw})
		}
		err := CheckVolumes(tt.note, list)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || !strings.Contains(hint.Of(err), tt.hint)) {
			t.Errorf("%v with %q: %v (%s), want %q (%s)", tt.note.Devices, tt.list, err, hint.Of(err), tt.want, tt.hint)
		}
	}
}
