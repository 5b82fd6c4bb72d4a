package devices

import (
	"fmt"
	"io"
	"os"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
)

// Queue indexes of a console. Unlike the console of virtio 1.2 section 5.3 it
// has an output queue each for standard output and standard error, since the
// two must stay apart; all queues are there from the start.
const (
	ConsoleIn  = abi.ConsoleQueueRX
	ConsoleOut = abi.ConsoleQueueTX
	ConsoleErr = ConsoleOut + 1

	consoleQueues = 3
)

// ConsoleConfig says where a console's bytes go and come from.
type ConsoleConfig struct {
	// Input is read, from a thread of its own, only while the guest has posted
	// buffers for input, and no more than fits. nil is an empty file.
	Input *os.File
	// Output and Error are written by the vCPU thread while it handles the
	// guest's notification: order is kept, and what the guest wrote before it
	// exits is out. A writer that blocks blocks the guest, as it would block a
	// process. Writers must not keep the slices they get.
	Output, Error io.Writer
	// Failed is called by the vCPU thread once for each of Output and Error
	// when a write fails; what the guest writes there from then on is thrown
	// away. It may be nil.
	Failed func(queue int, err error)
}

// A console is the back end of the console device.
type console struct {
	bus    *Bus
	out    [consoleQueues]*output // by queue, Output and Error only
	in     *input
	failed func(queue int, err error)
}

// An output is one queue that is drained into a writer.
type output struct {
	q     *virtq.Queue
	chain virtq.Chain
	w     io.Writer // nil after a failed write
}

// AddConsole adds the console device.
func (b *Bus) AddConsole(d *abi.Device, c ConsoleConfig) error {
	if err := need(d, abi.DeviceConsole, consoleQueues, abi.FVersion1|abi.FEventIdx); err != nil {
		return err
	}
	con := &console{bus: b, failed: c.Failed}
	for i, w := range []io.Writer{ConsoleOut: c.Output, ConsoleErr: c.Error} {
		if i == ConsoleIn {
			continue
		}
		q, err := b.queue(d, i, virtq.Out, fmt.Sprintf("output %d", i), func() bool { return con.drain(i) })
		if err != nil {
			return err
		}
		con.out[i] = &output{q: q, w: w}
	}
	in, err := newInput(b, d, c.Input)
	if err != nil {
		return err
	}
	con.in = in
	b.stops = append(b.stops, in.stop)
	return nil
}

// drain writes out what the guest has made available, a queue full of it at the
// most, and reports whether there may be more.
func (c *console) drain(i int) (more bool) {
	o := c.out[i]
	for n := 0; ; n++ {
		if n == consoleQueueSize {
			more = true
			break
		}
		ok, err := o.q.Pop(&o.chain)
		if err != nil {
			c.bus.Fail(err)
			return false
		}
		if !ok {
			if !o.q.Arm() {
				break
			}
			continue
		}
		c.write(i, o)
		o.q.Push(o.chain.Head, 0)
	}
	if o.q.Flush() {
		c.bus.Wake()
	}
	return more
}

// write writes one chain.
func (c *console) write(i int, o *output) {
	for _, p := range o.chain.Out {
		if o.w == nil {
			return
		}
		if _, err := o.w.Write(p); err != nil {
			o.w = nil
			if c.failed != nil {
				c.failed(i, err)
			}
		}
	}
}
