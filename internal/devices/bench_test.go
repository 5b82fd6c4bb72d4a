package devices

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// exitCost is what a doorbell costs a guest on a nested KVM, beyond what the
// monitor does: the benchmarks spend it at each, and a guest that has nothing
// to do looks for work as long before it parks.
const exitCost = 25 * time.Microsecond

func burn(d time.Duration) {
	for begin := time.Now(); time.Since(begin) < d; {
	}
}

// exits makes doorbells cost what they do.
func (n *nic) publish() {
	bells := n.bell
	if n.tx.Publish(); n.bell != bells {
		burn(exitCost)
	}
}

// rest is what a guest does that has nothing to do.
func (n *nic) rest() {
	for begin := time.Now(); time.Since(begin) < exitCost; {
		if n.rx.Pending() || n.tx.Pending() {
			return
		}
	}
	burn(exitCost)
	if n.tx.Outstanding() == 0 || !n.tx.ArmLate() {
		n.park(100*time.Millisecond, n.rx)
	}
}

func (n *nic) report(b *testing.B, bytes int) {
	s := n.net.Stats()
	sec := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N)/sec, "packets/s")
	b.ReportMetric(float64(b.N)*float64(bytes)*8/sec/1e9, "Gbit/s")
	b.ReportMetric(float64(n.bell+n.idle)/float64(b.N)*1000, "exits/1000")
	b.ReportMetric(float64(s.TxDropped+s.RxDropped)/float64(b.N)*1000, "drops/1000")
	if b.N > 10000 {
		b.Logf("%d packets: %d bells, %d idles: %+v", b.N, n.bell, n.idle, s)
	}
}

var benchSizes = []int{76, 1526, 65562}

func BenchmarkNetTransmit(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dev, peer := seqpacket(b)
			n := newNIC(b, dev, 64, 4096, 65600)
			got := make(chan struct{})
			go func() {
				defer close(got)
				buf := make([]byte, 65600)
				for {
					if k, err := unix.Read(peer, buf); k <= 0 || err != nil {
						return
					}
				}
			}()
			b.ResetTimer()
			for sent := 0; sent < b.N; {
				i, buf := n.slot()
				if buf == nil {
					n.rest()
					continue
				}
				n.send(i, size)
				n.publish()
				sent++
			}
			for n.tx.Outstanding() > 0 {
				n.slot()
			}
			b.StopTimer()
			n.report(b, size)
			unix.Shutdown(dev, unix.SHUT_RDWR)
			<-got
		})
	}
}

func BenchmarkNetReceive(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			dev, peer := seqpacket(b)
			n := newNIC(b, dev, 256, 4096, 64)
			b.ResetTimer()
			go func() {
				p := packet(size, 0)
				for range b.N {
					unix.Write(peer, p)
				}
			}()
			for got := 0; got < b.N; {
				if p, _ := n.recv(); p != nil {
					got++
					continue
				}
				n.rest()
			}
			b.StopTimer()
			n.report(b, size)
		})
	}
}

// BenchmarkNetPing is one packet there and one back, the guest parked before.
func BenchmarkNetPing(b *testing.B) {
	dev, peer := seqpacket(b)
	n := newNIC(b, dev, 64, 4096, 2048)
	done := make(chan struct{})
	var rtt time.Duration
	go func() {
		defer close(done)
		p := packet(110, 0)
		for range b.N {
			time.Sleep(200 * time.Microsecond) // the guest parks
			begin := time.Now()
			unix.Write(peer, p)
			unix.Read(peer, p)
			rtt += time.Since(begin)
		}
	}()
	for got := 0; got < b.N; {
		parts, size := n.recv()
		if parts == nil {
			burn(exitCost)
			n.park(time.Second, n.rx)
			continue
		}
		i, buf := n.slot()
		copy(buf, parts[0])
		n.send(i, size)
		n.publish()
		got++
	}
	<-done
	b.ReportMetric(float64(rtt.Microseconds())/float64(b.N), "us/ping")
	b.Logf("%+v", n.net.Stats())
}
