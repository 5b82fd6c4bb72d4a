package ext4_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

var errBroken = errors.New("the disk is broken")

// TestFaults lets each request of some work fail, once or for good. Nothing hangs
// or panics, files that are in memory can be read, and what is on the disk then is
// sound and has what was promised.
func TestFaults(t *testing.T) {
	const steps = 60
	for _, direct := range []int{ext4.DirectWrite, 2048} {
		requests := faultRun(t, -1, false, steps, direct)
		start := time.Now()
		for at := 0; at < requests; at++ {
			faultRun(t, at, at%2 == 0, steps, direct)
		}
		t.Logf("%d requests that failed in %v", requests, time.Since(start))
	}
}

// faultRun writes past the cache from so many bytes on. It lets request at fail, or all writes from there on if forever, and returns
// how many requests there were.
func faultRun(t *testing.T, at int, forever bool, steps, direct int) int {
	t.Helper()
	w := newWorker(t, 4<<20, 7, ext4.Options{CacheBytes: ext4.MinCache})
	reports := 0
	closeFS(t, w.fs)
	w.fs = open(t, w.d, ext4.Options{CacheBytes: ext4.MinCache, Report: func(string) { reports++ }})
	w.fs.WriteDirect(direct)
	w.d.Record()
	w.broken = at >= 0
	n := 0
	w.d.Fail = func(op string, _ int64, _ int) error {
		n++
		if n-1 == at || forever && n > at && op != "read" {
			return errBroken
		}
		return nil
	}
	for range steps {
		w.step()
	}
	err := w.fs.Close()
	if at < 0 && err != nil || forever && err == nil {
		t.Fatalf("close: %v", err)
	}
	if reports > 1 {
		t.Fatalf("request %d: %d reports", at, reports)
	}
	w.d.Fail = nil
	_, log := w.d.Log()
	cuts := 0
	last := len(log)
	cuttest.Cuts(w.d, uint64(at), 0, func(s *cuttest.State) {
		if s.At < last {
			return
		}
		cuts++
		if err := w.verify(s); err != nil {
			t.Fatalf("request %d of %d failed (forever: %v), %s: %v", at, n, forever, s.How, err)
		}
	})
	return n
}

// A full volume says so, can be read, and has space again when files are removed;
// that works however full it is.
func TestFull(t *testing.T) {
	for _, size := range []int64{4 << 20, 40 << 20} {
		d := newDisk(t, size)
		fs := open(t, d, ext4.Options{CacheBytes: 1 << 20})
		root, _ := fs.Root()
		r := rand.New(rand.NewPCG(1, 1))
		free := fs.Usage().Free
		for round := range 3 {
			names := fill(t, fs, root, r)
			if err := fs.Sync(); err != nil {
				t.Fatalf("round %d: what was accepted cannot be stored: %v", round, err)
			}
			if used := fs.Usage(); used.Free > 64 {
				t.Errorf("round %d: full with %d of %d blocks free", round, used.Free, free)
			}
			if _, err := root.Create("more", ext4.Attr{Mode: ext4.ModeDir}, ""); err != nil && err != ext4.ENOSPC {
				t.Fatal(err)
			} else if err == nil {
				names = append(names, "more")
			}
			check(t, d)
			for _, name := range names {
				if err := root.Unlink(name, name == "more"); err != nil {
					t.Fatalf("unlink %s: %v", name, err)
				}
			}
			if err := fs.Sync(); err != nil {
				t.Fatal(err)
			}
			if now := fs.Usage().Free; now+2 < free {
				t.Fatalf("round %d: %d blocks free, were %d", round, now, free)
			}
		}
		closeFS(t, fs)
		check(t, d)
		fsck(t, d.Bytes())
	}
}

// fill writes files until there is no space.
func fill(t *testing.T, fs *ext4.FS, root *ext4.Inode, r *rand.Rand) (names []string) {
	p := make([]byte, 200_000)
	for i := 0; ; i++ {
		name := fmt.Sprint("full", i)
		in, err := root.Create(name, ext4.Attr{Mode: ext4.ModeReg}, "")
		if err == ext4.ENOSPC {
			return names
		} else if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		n, err := in.WriteAt(p[:1+r.IntN(len(p))], int64(r.IntN(10000)))
		if err == ext4.ENOSPC || err == nil && n < len(p)/100 {
			if _, err = in.WriteAt([]byte("x"), 1<<30); err == ext4.ENOSPC {
				return names
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
