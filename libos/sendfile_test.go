package libos

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// sendSides makes the same files on Linux and in a new libos: a file of contents
// to read, one to write, one to append to, a pipe, and the directory.
func sendSides(t *testing.T, contents []byte) [2]*side {
	t.Helper()
	UseAll()
	reset(t)
	install(socketCalls)
	sides := [2]*side{{enter: linuxEnter}, {enter: libosEnter}}
	for i, dir := range []string{t.TempDir(), "/tmp"} {
		x := sides[i]
		open := func(name string, flags uintptr) {
			fd, errno := x.call(nr_open, dir+name, flags, uintptr(0o600))
			want(t, errno, 0)
			x.fds = append(x.fds, fd)
		}
		open("/in", oRDWR|oCREAT)
		x.call(nr_write, x.fds[0], contents, uintptr(len(contents)))
		open("/out", oRDWR|oCREAT)
		open("/append", oRDWR|oCREAT|oAPPEND)
		open("/in", oWRONLY)
		open("", oRDONLY)
		pair := make([]byte, 8)
		_, errno := x.call(nr_pipe2, pair, uintptr(oNONBLOCK))
		want(t, errno, 0)
		x.fds = append(x.fds, uintptr(pair[4])|uintptr(pair[5])<<8, ^uintptr(0))
	}
	return sides
}

// A sendCall is a sendfile, and where the file that it reads stands before.
type sendCall struct {
	out, in, count int
	pos, off       int64
	given          bool // the offset, instead of the position
}

func (x *side) send(c sendCall) (r uintptr, errno Errno, off int64, pos uintptr) {
	x.call(nr_lseek, x.fds[c.in], uintptr(c.pos), uintptr(0))
	x.call(nr_lseek, x.fds[c.out], uintptr(0), uintptr(2))
	at := make([]byte, 8)
	putUint64(at, uint64(c.off))
	var p any = uintptr(0)
	if c.given {
		p = at
	}
	r, errno = x.call(nr_sendfile, x.fds[c.out], x.fds[c.in], p, uintptr(c.count))
	off = int64(binary.LittleEndian.Uint64(at))
	pos, _ = x.call(nr_lseek, x.fds[c.in], uintptr(0), uintptr(1))
	return r, errno, off, pos
}

// TestSendfileParity compares random calls, and what they wrote, with Linux.
func TestSendfileParity(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	contents := make([]byte, 200_000)
	for i := range contents {
		contents[i] = byte(r.Uint32())
	}
	sides := sendSides(t, contents)
	sent := 0
	for i := range 400 {
		c := sendCall{
			out: []int{1, 1, 1, 2, 0, 3, 4, 6}[r.IntN(8)], in: []int{0, 0, 0, 0, 0, 3, 4, 5, 6}[r.IntN(9)],
			count: []int{0, 1, 4096, 65536, 150_000, 300_000}[r.IntN(6)],
			pos:   r.Int64N(220_000), off: []int64{0, 5, 100_000, 199_999, 250_000, -1}[r.IntN(6)], given: r.IntN(2) == 0,
		}
		if c.out == c.in || c.out == 3 && c.in == 0 {
			continue // a file into itself
		}
		n, errno, off, pos := sides[0].send(c)
		n2, errno2, off2, pos2 := sides[1].send(c)
		if n != n2 || errno != errno2 || off != off2 || pos != pos2 {
			t.Fatalf("seed %d, call %d, %+v: Linux %d, errno %d, offset %d, position %d; libos %d, errno %d, offset %d, position %d",
				seed, i, c, n, errno, off, pos, n2, errno2, off2, pos2)
		}
		sent += int(n) * onInt(errno == 0)
	}
	if sent == 0 {
		t.Error("nothing was sent")
	}
	compareFiles(t, sides, 1)
	for _, fd := range sides[0].fds {
		sides[0].call(nr_close, fd)
	}
}

func onInt(on bool) int { return int(onBit(on, 1)) }

// compareFiles compares what is in the files of a slot.
func compareFiles(t *testing.T, sides [2]*side, slot int) {
	t.Helper()
	var all [2][]byte
	for i, x := range sides {
		size, _ := x.call(nr_lseek, x.fds[slot], uintptr(0), uintptr(2))
		all[i] = make([]byte, size+1)
		n, errno := x.call(nr_pread64, x.fds[slot], all[i], size)
		want(t, errno, 0)
		all[i] = all[i][:n]
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Errorf("Linux wrote %d bytes, libos %d, or others", len(all[0]), len(all[1]))
	}
}

// TestSendfileStopsWhereThePipeIsFull: a non-blocking file takes a part, and the
// position is behind that part.
func TestSendfileStopsWhereThePipeIsFull(t *testing.T) {
	x := sendSides(t, bytes.Repeat([]byte("0123456789"), 20_000))[1]
	n, errno, _, pos := x.send(sendCall{out: 5, count: 1 << 30})
	if n != pipeSize || errno != 0 || pos != pipeSize {
		t.Errorf("sent %d, errno %d, position %d", n, errno, pos)
	}
	n, errno, _, pos = x.send(sendCall{out: 5, count: 1 << 30, pos: 7})
	if errno != EAGAIN || pos != 7 {
		t.Errorf("sent %d, errno %d, position %d", n, errno, pos)
	}
}
