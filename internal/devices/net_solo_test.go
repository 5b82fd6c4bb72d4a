package devices

import "testing"

// TestNetOneProcessor: what holds where the I/O thread polls holds where it has
// no processor of its own.
func TestNetOneProcessor(t *testing.T) {
	before := oneProcessor
	oneProcessor = func() bool { return true }
	defer func() { oneProcessor = before }()
	for name, test := range map[string]func(*testing.T){
		"transmit": TestNetTransmit, "receive": TestNetReceive, "busy": TestNetReceiveBusy,
		"few buffers": TestNetFewBuffers, "waits for buffers": TestNetWaitsForBuffers, "starved": TestNetStarved,
		"slow peer": TestNetSlowPeer, "stuck peer": TestNetStuckPeer, "idle": TestNetIdle,
		"hostile": TestNetHostile, "concurrent": TestNetConcurrent,
	} {
		t.Run(name, test)
	}
}
