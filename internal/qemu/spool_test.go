package qemu

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
)

// What QEMU appends to a spool comes out in order, all of it, and QEMU is held
// while too much waits.
func TestSpool(t *testing.T) {
	s, err := newSpool()
	if err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", s.read.Fd()), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	var held, released, begun atomic.Int32
	out, in := io.Pipe()
	done := make(chan error)
	go func() {
		err := s.copyTo(in, func(more bool) {
			if more {
				held.Add(1)
			} else {
				released.Add(1)
			}
		}, func() { begun.Add(1) })
		in.Close()
		done <- err
	}()
	var want bytes.Buffer
	for i := 0; want.Len() <= spoolHigh+spoolLow; i++ {
		line := fmt.Sprintf("line %d of some length that fills the file up a little faster than a number alone\n", i)
		want.WriteString(line)
		io.WriteString(w, line)
	}
	s.end()
	got, err := io.ReadAll(out)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%d bytes of %d came out, %v", len(got), want.Len(), err)
	}
	if held.Load() != 1 || released.Load() != 1 || begun.Load() == 0 {
		t.Errorf("held %d times, released %d times, begun %d", held.Load(), released.Load(), begun.Load())
	}
}
