package block_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/block/blocktest"
)

func TestSub(t *testing.T) {
	m := blocktest.New(4096)
	for i := range m.Data {
		m.Data[i] = byte(i / 512)
	}
	d, err := block.Sub(m, 1024, 1024)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 512)
	if err := d.ReadAt(b, 512); err != nil || b[0] != 3 || d.Size() != 1024 {
		t.Errorf("read %d, %v", b[0], err)
	}
	if err := d.WriteAt(bytes.Repeat([]byte{9}, 512), 0); err != nil || m.Data[1024] != 9 || m.Data[1023] != 1 || m.Data[1536] != 3 {
		t.Errorf("write: %v", err)
	}
	if err := d.Discard(0, 512); err != nil || m.Data[1024] != 0xDD || m.Data[1023] != 1 {
		t.Errorf("discard: %v", err)
	}
	for _, c := range []struct{ off, n int64 }{{1024, 512}, {512, 1024}, {-512, 512}, {1 << 62, 512}, {1, 512}, {0, 1}} {
		p := make([]byte, c.n)
		for op, err := range map[string]error{"read": d.ReadAt(p, c.off), "write": d.WriteAt(p, c.off), "discard": d.Discard(c.off, c.n)} {
			if !errors.Is(err, block.ErrRange) {
				t.Errorf("%s of %d at %d: %v", op, c.n, c.off, err)
			}
		}
		if _, err := block.Sub(d, c.off, c.n); !errors.Is(err, block.ErrRange) {
			t.Errorf("sub of %d at %d: %v", c.n, c.off, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	m := blocktest.New(1024)
	d := block.ReadOnly(m)
	if !d.ReadOnly() || block.ReadOnly(d) != d {
		t.Error("not read-only, or twice so")
	}
	for op, err := range map[string]error{"write": d.WriteAt(make([]byte, 512), 0), "flush": d.Flush(), "discard": d.Discard(0, 512)} {
		if !errors.Is(err, block.ErrReadOnly) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if err := d.ReadAt(make([]byte, 512), 0); err != nil || m.Requests != 1 {
		t.Errorf("read: %v, %d requests", err, m.Requests)
	}
}

func TestReadBytes(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		m := blocktest.New(8192)
		m.Sector = sector
		for i := range m.Data {
			m.Data[i] = byte(i * 7 >> 3)
		}
		for _, c := range []struct{ off, n int64 }{{0, 0}, {0, 8192}, {1, 1}, {511, 2}, {512, 512}, {4095, 4097}, {8191, 1}, {8192, 0}} {
			p := make([]byte, c.n)
			if err := block.ReadBytes(m, p, c.off); err != nil || !bytes.Equal(p, m.Data[c.off:c.off+c.n]) {
				t.Errorf("%d bytes at %d: %v", c.n, c.off, err)
			}
		}
		for _, c := range []struct{ off, n int64 }{{8192, 1}, {-1, 1}, {1 << 62, 1}, {8000, 193}} {
			if err := block.ReadBytes(m, make([]byte, c.n), c.off); !errors.Is(err, block.ErrRange) {
				t.Errorf("%d bytes at %d: %v", c.n, c.off, err)
			}
		}
	}
}
