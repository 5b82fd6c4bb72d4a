package extfs

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/volume/cuttest"
	"github.com/tailor-os/tailor/volume/ext4"
)

// A promise is what a volume must hold from some event of the disk's log on.
type promise struct {
	since int
	name  string
	text  []byte // nil: it is not there
}

// After a power cut at any moment, the volume is sound and holds what had been made
// durable: by fsync of a file, of a directory, by O_SYNC, or by msync.
func TestPowerCut(t *testing.T) {
	d := cuttest.New(4 << 20)
	if err := ext4.Mkfs(d, ext4.MkfsOptions{}); err != nil {
		t.Fatal(err)
	}
	f, err := Open(d, Options{Memory: ext4.MinCache})
	if err != nil {
		t.Fatal(err)
	}
	sync1(t, f)
	d.Record()
	promises := work(t, d, f)
	count := cuttest.Cuts(d, 5, 1, func(s *cuttest.State) {
		if err := kept(s, promises); err != nil {
			t.Fatalf("cut at event %d, %s: %v", s.At, s.How, err)
		}
	})
	t.Logf("%d states, %d promises", count, len(promises))
	if len(promises) < 20 {
		t.Error("too little was promised")
	}
}

// work uses a volume, and returns what it holds from when on.
func work(t *testing.T, d *cuttest.Disk, fs *FS) (promises []promise) {
	r := &rig{TB: t, fs: fs}
	rnd := rand.New(rand.NewPCG(7, 7))
	promised := func(name string, text []byte) {
		promises = append(promises, promise{d.Events(), name, text})
	}
	for i := range 30 {
		name := fmt.Sprint("f", i)
		text := bytes.Repeat([]byte{byte(i) + 1}, 1+rnd.IntN(20_000))
		switch n := r.create(name+".new", libos.ModeReg|0o600); i % 3 {
		case 0: // as careful programs replace files
			f := r.open(n, oRDWR)
			r.write(f, string(text))
			sync1(t, f)
			promised(name+".new", text)
			r.want(f.Close(), 0)
			promises[len(promises)-1].name += " or " + name
			r.want(r.root().Rename(name+".new", r.root(), name, 0), 0)
			sync1(t, fs.Root())
			promised(name, text)
			promised(name+".new", nil)
		case 1:
			f := r.open(n, oRDWR|oDSYNC)
			r.write(f, string(text))
			promised(name+".new", text)
			r.want(f.Close(), 0)
		case 2:
			r.want(n.(libos.AttrSetter).SetAttr(libos.SetSize, &libos.Attr{Size: int64(len(text))}), 0)
			m := r.share(n, 0, 5*page, true)
			copy(m.Bytes(), text)
			r.want(m.Sync(), 0)
			promised(name+".new", text)
			m.Close()
		}
	}
	return promises
}

// kept reports what a volume does not hold.
func kept(s *cuttest.State, promises []promise) error {
	e, err := ext4.Open(s, ext4.Options{CacheBytes: ext4.MinCache})
	if err != nil {
		return err
	}
	root, err := e.Root()
	if err != nil {
		return err
	}
	for _, p := range promises {
		if p.since <= s.At {
			if err := holds(root, p); err != nil {
				return fmt.Errorf("%s, promised at %d: %w", p.name, p.since, err)
			}
		}
	}
	if err := e.Close(); err != nil {
		return err
	}
	if problems, err := ext4.Check(s); err != nil || len(problems) > 0 {
		return fmt.Errorf("check: %v %q", err, problems)
	}
	return nil
}

// holds reports what is wrong with a file.
func holds(root *ext4.Inode, p promise) error {
	var in *ext4.Inode
	var err error
	var a, b string
	if n, _ := fmt.Sscanf(p.name, "%s or %s", &a, &b); n == 2 {
		if in, err = root.Lookup(a); err != nil {
			in, err = root.Lookup(b)
		}
	} else {
		in, err = root.Lookup(p.name)
	}
	if p.text == nil {
		if err == nil {
			return errors.New("it is there")
		}
		return nil
	}
	if err != nil {
		return err
	}
	got := make([]byte, len(p.text)+1)
	n, err := in.ReadAt(got, 0)
	if err == nil && !bytes.Equal(got[:n], p.text) {
		err = fmt.Errorf("it has %d bytes, not what was written", n)
	}
	return err
}
