package guest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/abi"
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
	cfg := &Config{Net: &Net{MTU: 1500}, Shares: make([]Share, maxShares)}
	const others = 3 + 2 + 2*maxShares // the console's, the network's and those of shares
	for i := range abi.MaxBells - others {
		cfg.Volumes = append(cfg.Volumes, Volume{Name: fmt.Sprint("v", i), Disk: sizedDisk{}})
	}
	table, err := Layout(cfg)
	if err != nil {
		t.Fatal(err)
	}
	last := table[len(table)-1].Queues[0].Notify
	if last != abi.MaxBells-1 || (abi.BellBitIdle|abi.BellBitProfile)>>abi.MaxBells<<abi.MaxBells != abi.BellBitIdle|abi.BellBitProfile {
		t.Errorf("the last queue has bit %d", last)
	}
	cfg.Volumes = append(cfg.Volumes, Volume{Name: "more", Disk: sizedDisk{}})
	_, err = Layout(cfg)
	if err == nil || !strings.Contains(err.Error(), "24 shares and 4 volumes are too many") {
		t.Errorf("%v", err)
	}
}
