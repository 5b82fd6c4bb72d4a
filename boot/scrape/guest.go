//go:build tailoros && !tailorunix

package scrape

import (
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/boot/event"
	"github.com/tailor-os/tailor/metrics"
	"github.com/tailor-os/tailor/netstack"
)

//go:linkname bootInfo runtime.tailor_bootInfo
func bootInfo() *abi.BootInfo

//go:linkname memory runtime.tailor_memory
func memory() (total, free uint64)

//go:linkname machineFigures runtime.tailor_figures
func machineFigures() (rung [6]uint64, turns uint64, idle int64)

func init() {
	metrics.Register(machine)
	metrics.Register(queues)
	metrics.Register(netstack.WriteFigures)
}

//go:linkname now runtime.tailor_now
func now() int64

// cpuTime returns for how long the program has run, and not waited.
func cpuTime() time.Duration {
	_, _, idle := machineFigures()
	return time.Duration(now() - idle)
}

// target is what the machine turned out to be.
func target() string {
	switch info := bootInfo(); {
	case info.Platform != 0:
		return "virtio"
	case info.Flags&abi.BootProcess != 0:
		return "spt"
	}
	return "hvt"
}

// machine writes what the event loop and the memory say.
func machine(w *metrics.Writer) {
	w.Gauge("tailor_info", "How the program runs: the target that it was built for.").Add(1, "target", target())
	total, free := memory()
	w.Gauge("tailor_memory_size_bytes", "Memory of the machine.").Add(float64(total))
	w.Gauge("tailor_memory_free_bytes", "Memory that Go's runtime has not taken yet. It gives none back.").Add(float64(free))
	rung, turns, idle := machineFigures()
	w.Counter("tailor_event_loop_turns_total", "Turns of the event loop.").Add(float64(turns))
	w.Counter("tailor_idle_seconds_total", "Time in which nothing could run.").Add(float64(idle) / 1e9)
	w.Counter("tailor_doorbells_total", "Stores to the machine's doorbells. Each is a VM exit (hvt, virtio) or wakes the monitor (spt).").
		Add(float64(rung[abi.BellIdle/8]), "bell", "idle").Add(float64(rung[abi.BellNotify/8]), "bell", "notify").
		Add(float64(rung[abi.BellProfile/8]), "bell", "profile")
}

// kinds are the devices by type.
var kinds = []struct {
	typ  uint32
	name string
}{{abi.DeviceNet, "net"}, {abi.DeviceBlock, "block"}, {abi.DeviceConsole, "console"}, {abi.DeviceRNG, "rng"}, {abi.DeviceFS, "fs"}}

// queues writes how full each virtqueue is, as its rings say.
func queues(w *metrics.Writer) {
	type queue struct {
		device, number string
		q              *abi.Queue
	}
	var all []queue
	for _, k := range kinds {
		for n := 0; ; n++ {
			d := event.Device(k.typ, n)
			if d == nil {
				break
			}
			for i := range d.Queues[:min(d.NumQueues, abi.MaxQueues)] {
				if q := &d.Queues[i]; q.Size != 0 {
					all = append(all, queue{k.name + strconv.Itoa(n), strconv.Itoa(i), q})
				}
			}
		}
	}
	size := w.Gauge("tailor_virtqueue_size", "Buffers, in chains, that a virtqueue can have.")
	for _, q := range all {
		size.Add(float64(q.q.Size), "device", q.device, "queue", q.number)
	}
	depth := w.Gauge("tailor_virtqueue_depth", "Chains of buffers that the device has and has not used yet. A queue for receiving is full of empty ones.")
	for _, q := range all {
		depth.Add(float64(index(q.q.Avail)-index(q.q.Used)), "device", q.device, "queue", q.number)
	}
}

// index returns the index in the head of a ring (virtio 1.2 sections 2.7.6 and 2.7.8),
// which is the upper half of its first word.
func index(ring uint64) uint16 {
	// SAFETY: the ring lies outside the Go heap and is never freed.
	return uint16(atomic.LoadUint32((*uint32)(unsafe.Pointer(uintptr(ring)))) >> 16)
}
