package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPieces: what a goroutine writes in many pieces, without parking between
// them, arrives whole, and in fewer packets than pieces.
func TestPieces(t *testing.T) { each(t, testPieces, ownNetwork) }

func testPieces(t *testing.T, on target) {
	const pieces = 2000
	r := tapRoad(t, on)
	done := make(chan error, 1)
	addr := r.listen(t, 4, func(c *net.TCPConn) { done <- readPieces(c, pieces) })
	r.run(t, []string{"end: EOF"}, "dial-pieces", addr, fmt.Sprint(pieces))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func readPieces(c *net.TCPConn, n int) error {
	defer c.Close()
	got, err := io.ReadAll(c)
	want := make([]byte, n)
	for i := range want {
		want[i] = byte(i)
	}
	if err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("%d bytes arrived of %d, equal %v: %v", len(got), n, bytes.Equal(got, want), err)
	}
	segments, err := dataSegments(c)
	if err == nil && segments > uint32(n)*3/4 {
		err = fmt.Errorf("%d segments for %d pieces", segments, n)
	}
	return err
}

// dataSegments returns how many segments with data the kernel has received.
func dataSegments(c *net.TCPConn) (n uint32, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var info *unix.TCPInfo
	e := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if e != nil || err != nil {
		return 0, fmt.Errorf("TCP_INFO: %v, %v", e, err)
	}
	return info.Data_segs_in, nil
}

// TestWriteThenCompute: what is written before a long computation is on its way
// meanwhile.
func TestWriteThenCompute(t *testing.T) {
	roads(t, func(t *testing.T, r *road) {
		compute := 1500 * time.Millisecond
		if r.on.slow > 1 {
			compute *= 2 // a busy machine leaves an emulated one little
		}
		apart := make(chan time.Duration, 1)
		addr := r.listen(t, 4, func(c *net.TCPConn) {
			defer c.Close()
			b := make([]byte, 1)
			io.ReadFull(c, b)
			begin := time.Now()
			io.ReadFull(c, b)
			apart <- time.Since(begin)
		})
		r.run(t, nil, "dial-compute", addr, fmt.Sprint(compute.Milliseconds()))
		if d := <-apart; d < compute/3 {
			t.Errorf("the first byte came only %v before the second", d)
		}
	})
}
