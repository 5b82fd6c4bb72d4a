package devices

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/virtq"
	"github.com/tailor-os/tailor/virtio"
)

// packet returns a packet of size bytes, header included, that depends on seed
// in each byte behind the header.
func packet(size int, seed byte) []byte {
	p := make([]byte, size)
	for i := virtio.NetHdrLen; i < size; i++ {
		p[i] = byte(i) ^ byte(i>>8) ^ seed
	}
	return p
}

// readPeer reads one packet from the other end of the socket, nil after a while.
func readPeer(t testing.TB, fd int) []byte {
	buf := make([]byte, 70000)
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 5000)
		if n == 1 {
			break
		}
		if err != unix.EINTR {
			t.Fatalf("nothing to read: %v", err)
		}
	}
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func writePeer(t testing.TB, fd int, p []byte) {
	if n, err := unix.Write(fd, p); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(p), err)
	}
}

func TestNetTransmit(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 65600)
	for round, size := range []int{26, 60, 1526, 4096, 4097, 65562} {
		i, b := n.slot()
		want := packet(size, byte(round))
		copy(b, want)
		n.send(i, size)
		n.tx.Publish()
		if got := readPeer(t, peer); !bytes.Equal(got, want) {
			t.Fatalf("size %d: got %d bytes, wrong", size, len(got))
		}
	}
	n.settle()
	if s := n.net.Stats(); s.TxPackets != 6 || s.TxDropped != 0 || s.Sleeps > 2 {
		t.Errorf("%+v; a packet now and then is no work for the I/O thread", s)
	}
}

func TestNetReceive(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 2048)
	for round, size := range []int{26, 60, 1526, 4096, 4097, 8192, 65562, 26} {
		want := packet(size, byte(round))
		writePeer(t, peer, want)
		parts, _ := n.recvWait()
		got := bytes.Join(parts, nil)
		h, err := virtio.DecodeNetHdr(got)
		if err != nil || int(h.NumBuffers) != (size+4095)/4096 || len(parts) != int(h.NumBuffers) {
			t.Errorf("size %d: header %+v, %d parts", size, h, len(parts))
		}
		if !bytes.Equal(got[virtio.NetHdrLen:], want[virtio.NetHdrLen:]) {
			t.Fatalf("size %d: got %d bytes, wrong", size, len(got))
		}
	}
	if s := n.net.Stats(); s.RxPackets != 8 || s.RxDropped != 0 {
		t.Errorf("%+v", s)
	}
}

// TestNetReceiveBusy: the guest never parks, so the I/O thread must do it.
func TestNetReceiveBusy(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 2048)
	for range 20 {
		writePeer(t, peer, packet(100, 1))
		end := time.Now().Add(5 * time.Second)
		for {
			if p, _ := n.recv(); p != nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the I/O thread does not receive: %+v", n.net.Stats())
			}
			time.Sleep(200 * time.Microsecond)
		}
	}
	// The zeroed used_event asks for one wake-up, at the first packet.
	if s := n.net.Stats(); s.Wakes > 1 {
		t.Errorf("%+v: woke a guest that did not ask", s)
	}
}

// TestNetFewBuffers: a guest that has posted less than a large packet takes
// gets small ones, loses large ones, and goes on.
func TestNetFewBuffers(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 4, 2048, 2048)
	writePeer(t, peer, packet(60000, 1))
	writePeer(t, peer, packet(8192, 2))
	if _, size := n.recvWait(); size != 8192 {
		t.Errorf("got %d bytes", size)
	}
	writePeer(t, peer, packet(8193, 2))
	writePeer(t, peer, packet(20, 2)) // shorter than its headers
	writePeer(t, peer, packet(100, 3))
	if _, size := n.recvWait(); size != 100 {
		t.Errorf("got %d bytes", size)
	}
	if s := n.net.Stats(); s.RxDropped != 3 || s.RxPackets != 2 {
		t.Errorf("%+v", s)
	}
}

// TestNetWaitsForBuffers: a packet too long for the buffers there are is kept
// as long as the guest is busy and may post more.
func TestNetWaitsForBuffers(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 4, 2048, 2048)
	writePeer(t, peer, packet(60000, 1))
	writePeer(t, peer, packet(100, 2))
	time.Sleep(3 * starvedTime) // long enough for the I/O thread to fall asleep
	if p, _ := n.recv(); p != nil {
		t.Error("got a packet that does not fit")
	}
	for i := range 60 {
		n.rxBufs = append(n.rxBufs, n.buf(n.rxSize))
		n.post(uint32(4 + i))
	}
	n.rx.Publish()
	parts, size := n.recvWait()
	if want := packet(60000, 1); size != 60000 || !bytes.Equal(bytes.Join(parts, nil)[12:], want[12:]) {
		t.Errorf("got %d bytes, or wrong ones", size)
	}
	if _, size := n.recvWait(); size != 100 {
		t.Errorf("got %d bytes", size)
	}
}

// TestNetStarved: packets wait while there are no buffers, and come when the
// guest posts some, whoever is asleep by then.
func TestNetStarved(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 32, 4096, 2048)
	for i := range 40 {
		writePeer(t, peer, packet(4096, byte(i)))
	}
	for i := range 40 {
		if i%8 == 0 {
			n.bus.Idle(time.Millisecond) // device out of buffers, or soon
			time.Sleep(time.Millisecond)
		}
		parts, size := n.recvWait()
		if want := packet(4096, byte(i)); size != 4096 || !bytes.Equal(parts[0][12:], want[12:]) {
			t.Fatalf("packet %d: %d bytes or wrong contents", i, size)
		}
	}
	if s := n.net.Stats(); s.RxDropped != 0 || s.RxPackets != 40 {
		t.Errorf("%+v", s)
	}
}

// TestNetSlowPeer: packets wait for a reader that is slow, none is lost.
func TestNetSlowPeer(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	unix.SetsockoptInt(dev, unix.SOL_SOCKET, unix.SO_SNDBUF, 8192)
	n := newNIC(t, dev, 64, 4096, 2048)
	const total = 200
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range total {
			time.Sleep(100 * time.Microsecond)
			if p := readPeer(t, peer); len(p) != 1500 {
				t.Errorf("got %d bytes", len(p))
			}
		}
	}()
	n.sendMany(total, 1500)
	<-done
	if s := n.net.Stats(); s.TxPackets != total || s.TxDropped != 0 {
		t.Errorf("%+v", s)
	}
}

// settle waits until all packets that were sent are accounted for.
func (n *nic) settle() { n.sendMany(0, 0) }

// sendMany sends total packets, and parks when it has no room.
func (n *nic) sendMany(total, size int) {
	end := time.Now().Add(10 * time.Second)
	for sent := 0; sent < total || len(n.txFree) < len(n.txBufs); {
		if time.Now().After(end) {
			n.t.Fatalf("stuck after %d packets, %d free: %+v", sent, len(n.txFree), n.net.Stats())
		}
		i, b := n.slot()
		if sent == total || b == nil {
			if n.tx.Outstanding() > 0 {
				n.park(time.Second, n.tx)
			}
			continue
		}
		n.send(i, size)
		n.tx.Publish()
		sent++
	}
}

// TestNetStuckPeer: a reader that has stopped does not stop the guest.
func TestNetStuckPeer(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	unix.SetsockoptInt(dev, unix.SOL_SOCKET, unix.SO_SNDBUF, 8192)
	n := newNIC(t, dev, 64, 4096, 2048)
	begin := time.Now()
	n.sendMany(100, 1500)
	if d := time.Since(begin); d < stuckTime || d > stuckTime+2*time.Second {
		t.Errorf("took %v", d)
	}
	if s := n.net.Stats(); s.TxPackets+s.TxDropped != 100 || s.TxDropped < 50 {
		t.Errorf("%+v", s)
	}
	before := n.net.Stats().TxPackets
	for range before {
		readPeer(t, peer)
	}
	n.sendMany(1, 1500)
	if len(readPeer(t, peer)) != 1500 {
		t.Error("does not go on after the reader did")
	}
}

// TestNetRefused: what the descriptor refuses is dropped and counted.
func TestNetRefused(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	unix.SetsockoptInt(dev, unix.SOL_SOCKET, unix.SO_SNDBUF, 8192)
	n := newNIC(t, dev, 64, 4096, 65600)
	n.sendMany(1, 65562) // EMSGSIZE
	n.sendMany(1, 11)    // less than the header
	if s := n.net.Stats(); s.TxDropped != 2 || s.TxPackets != 0 {
		t.Errorf("%+v", s)
	}
	unix.Shutdown(peer, unix.SHUT_RDWR)
	n.sendMany(50, 100) // EPIPE
	if s := n.net.Stats(); s.TxDropped != 52 {
		t.Errorf("%+v", s)
	}
	n.bus.Idle(5 * time.Millisecond)
	if s := n.net.Stats(); s.Sleeps > 60 {
		t.Errorf("%+v: the I/O thread spins on a dead socket", s)
	}
}

// TestNetIdle: nothing happens while nothing happens.
func TestNetIdle(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 2048)
	writePeer(t, peer, packet(100, 0))
	n.recvWait()
	time.Sleep(5 * time.Millisecond)
	// The vCPU thread's processor time, and that the I/O thread sleeps; not the
	// process's, which includes the runtime's own work.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, after unix.Rusage
	sleeps := n.net.Stats().Sleeps
	unix.Getrusage(unix.RUSAGE_THREAD, &before)
	for range 5 {
		n.park(50*time.Millisecond, n.rx, n.tx)
	}
	unix.Getrusage(unix.RUSAGE_THREAD, &after)
	cpu := func(r unix.Rusage) int64 { return r.Utime.Nano() + r.Stime.Nano() }
	if d := time.Duration(cpu(after) - cpu(before)); d > 5*time.Millisecond || n.net.Stats().Sleeps != sleeps {
		t.Errorf("%v of processor time in 250 ms, %d sleeps", d, n.net.Stats().Sleeps-sleeps)
	}
}

// TestNetLatency: a guest that answers pings does it without the I/O thread.
func TestNetLatency(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 2048)
	const total = 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := packet(110, 0)
		for range total {
			unix.Write(peer, p)
			readPeer(t, peer)
			time.Sleep(200 * time.Microsecond)
		}
	}()
	for range total {
		parts, size := n.recvWait()
		i, b := n.slot()
		copy(b, parts[0])
		n.send(i, size)
		n.tx.Publish()
	}
	<-done
	s := n.net.Stats()
	t.Logf("%+v", s)
	if s.Sleeps > total/4 {
		t.Errorf("the I/O thread was woken %d times for %d packets", s.Sleeps, total)
	}
}

func TestNetHostile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		desc  func(g *guest, q *abi.Queue)
		want  error
		says  string
	}{
		{"transmit past memory", abi.NetQueueTX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, ramSize-1, 2, 0, 0) }, virtq.ErrMemory, "net0 transmit"},
		{"transmit from page 0", abi.NetQueueTX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, 0, 100, 0, 0) }, virtq.ErrMemory, "net0 transmit"},
		{"transmit page tables", abi.NetQueueTX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, abi.SystemAddr, 100, 0, 0) }, virtq.ErrMemory, "net0 transmit"},
		{"transmit loop", abi.NetQueueTX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 100, virtio.DescNext, 0) }, virtq.ErrLoop, "net0 transmit"},
		{"transmit writable", abi.NetQueueTX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 100, virtio.DescWrite, 0) }, virtq.ErrDirection, "net0 transmit"},
		{"receive into page tables", abi.NetQueueRX, func(g *guest, q *abi.Queue) {
			g.setDesc(q, 0, abi.SystemAddr, 4096, virtio.DescWrite, 0)
		}, virtq.ErrMemory, "net0 receive"},
		{"receive readable", abi.NetQueueRX, func(g *guest, q *abi.Queue) { g.setDesc(q, 0, heapAt, 4096, 0, 0) }, virtq.ErrDirection, "net0 receive"},
		{"receive index", abi.NetQueueRX, func(g *guest, q *abi.Queue) { g.setAvail(q, 0x7fff) }, virtq.ErrAvailIndex, "net0 receive"},
	} {
		for _, park := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				leaks(t)
				dev, peer := seqpacket(t)
				n := newNIC(t, dev, 0, 0, 2048)
				q := &n.devs[0].Queues[tt.queue]
				tt.desc(n.guest, q)
				if tt.want != virtq.ErrAvailIndex {
					n.setAvail(q, 1)
				}
				writePeer(t, peer, packet(100, 0))
				if !park { // by doorbell or by the I/O thread, else by the idle vCPU thread
					n.bus.Notify(uint64(q.Notify))
				} else {
					n.bus.Idle(5 * time.Second)
				}
				n.wantError(tt.says)
				if !errors.Is(n.bus.Err(), tt.want) {
					t.Errorf("%v, want %v", n.bus.Err(), tt.want)
				}
				n.bus.Idle(time.Minute) // a failed bus does not park
				n.bus.Notify(uint64(q.Notify))
			})
		}
	}
}

func TestAddNetErrors(t *testing.T) {
	leaks(t)
	dev, _ := seqpacket(t)
	for _, tt := range []struct {
		name   string
		change func(d *abi.Device)
		fd     int
	}{
		{"type", func(d *abi.Device) { d.Type = abi.DeviceBlock }, dev},
		{"queues", func(d *abi.Device) { d.NumQueues = 3 }, dev},
		{"features", func(d *abi.Device) { d.Features &^= abi.NetFMrgRxBuf }, dev},
		{"size", func(d *abi.Device) { d.Queues[0].Size = 3 }, dev},
		{"rings outside", func(d *abi.Device) { d.Queues[1].Desc = abi.SystemAddr }, dev},
		{"notify", func(d *abi.Device) { d.Queues[1].Notify = d.Queues[0].Notify }, dev},
		{"descriptor", func(d *abi.Device) {}, 1 << 20},
	} {
		newGuest(t, func(g *guest) {
			tt.change(&g.devs[0])
			if _, err := g.bus.AddNet(&g.devs[0], tt.fd); err == nil {
				t.Errorf("%s: no error", tt.name)
			}
		}, NetSpec("net0", [6]byte{}, 1500, 0))
	}
}

// TestNetConcurrent: both directions at full speed; every packet arrives, in
// order and whole.
func TestNetConcurrent(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 8192)
	total := uint64(20_000)
	if testing.Short() {
		total = 2_000
	}
	sizes := [...]int{60, 1526, 5000, 64}
	go func() { // to the guest
		p := packet(5000, 0)
		for i := range total {
			binary.LittleEndian.PutUint64(p[12:], i)
			unix.Write(peer, p[:sizes[i%4]])
		}
	}()
	peerDone := make(chan uint64)
	go func() { // from the guest
		buf := make([]byte, 8192)
		for i := range total {
			k, err := unix.Read(peer, buf)
			if err != nil || k != sizes[i%4] || binary.LittleEndian.Uint64(buf[12:]) != i {
				peerDone <- i
				return
			}
		}
		peerDone <- total
	}()
	end := time.Now().Add(20 * time.Second)
	for sent, got := uint64(0), uint64(0); sent < total || got < total; {
		if time.Now().After(end) {
			t.Fatalf("stuck: sent %d, got %d, %+v", sent, got, n.net.Stats())
		}
		worked := false
		if parts, size := n.recv(); parts != nil {
			if size != sizes[got%4] || binary.LittleEndian.Uint64(parts[0][12:]) != got {
				t.Fatalf("packet %d: %d bytes, number %d", got, size, binary.LittleEndian.Uint64(parts[0][12:]))
			}
			got++
			worked = true
		}
		if i, b := n.slot(); b != nil && sent < total {
			binary.LittleEndian.PutUint64(b[12:], sent)
			n.send(i, sizes[sent%4])
			n.tx.Publish()
			sent++
			worked = true
		}
		if !worked {
			n.park(time.Second, n.rx, n.tx)
		}
	}
	select {
	case i := <-peerDone:
		if i != total {
			t.Errorf("the peer got packet %d wrong", i)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("packets sent do not arrive, %d outstanding: %+v, polled %v, stuck %v, turn %d", n.tx.Outstanding(), n.net.Stats(),
			n.net.tx.polled.Load(), n.net.tx.stuck.Load(), n.net.tx.turn.state.Load())
	}
	t.Logf("%d bells, %d idles: %+v", n.bell, n.idle, n.net.Stats())
}

// TestNetLastPacket: what a guest has put into the ring before it ended is sent.
func TestNetLastPacket(t *testing.T) {
	leaks(t)
	dev, peer := seqpacket(t)
	n := newNIC(t, dev, 64, 4096, 65600)
	n.net.tx.q.Quiet() // as while the I/O thread looks
	i, b := n.slot()
	want := packet(1000, 7)
	copy(b, want)
	n.send(i, len(want))
	n.tx.Publish()
	n.bus.Stop()
	if got := readPeer(t, peer); !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes", len(got))
	}
}
