package ext4_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tailor-os/tailor/volume/ext4"
)

// Who looks for something that must be read first does not keep others from what
// is in memory; nor does who makes something durable.
func TestOthersDoNotWait(t *testing.T) {
	d := newDisk(t, 40<<20)
	fs := open(t, d, ext4.Options{})
	root, _ := fs.Root()
	far, err := root.Create("far", ext4.Attr{Mode: ext4.ModeDir | 0o755}, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if _, err := far.Create(fmt.Sprint("a name of some length ", i), ext4.Attr{Mode: ext4.ModeReg}, ""); err != nil {
			t.Fatal(err)
		}
	}
	closeFS(t, fs)

	fs = open(t, d, ext4.Options{})
	root, _ = fs.Root()
	near, err := root.Create("near", ext4.Attr{Mode: ext4.ModeReg}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.WriteAt([]byte("here"), 0); err != nil {
		t.Fatal(err)
	}
	if far, err = root.Lookup("far"); err != nil {
		t.Fatal(err)
	}
	for name, slow := range map[string]func() error{
		"lookup": func() error { _, err := far.Lookup("a name of some length 1999"); return err },
		"sync":   near.Sync,
	} {
		asked, goOn := make(chan bool), make(chan bool)
		first := true
		d.Yield = func() {
			if first { // of one goroutine only: the others must not ask
				first = false
				close(asked)
			}
			<-goOn
		}
		done := make(chan error)
		go func() { done <- slow() }()
		<-asked
		quick := make(chan error)
		go func() {
			p := make([]byte, 10)
			n, err := near.ReadAt(p, 0)
			if err == nil && string(p[:n]) != "here" {
				err = fmt.Errorf("read %q", p[:n])
			}
			quick <- err
		}()
		select {
		case err := <-quick:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: a file in memory cannot be read meanwhile", name)
		}
		close(goOn)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		d.Yield = nil
	}
}

// Changed is called once for all changes before a Sync, and not for those that
// Sync itself makes.
func TestChanged(t *testing.T) {
	told := 0
	fs := open(t, newDisk(t, 8<<20), ext4.Options{Changed: func() { told++ }})
	root, _ := fs.Root()
	for round := range 3 {
		if told != round {
			t.Fatalf("told %d times, want %d", told, round)
		}
		in, err := root.Create(fmt.Sprint(round), ext4.Attr{Mode: ext4.ModeReg}, "")
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if _, _, err := in.Append([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := fs.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}
