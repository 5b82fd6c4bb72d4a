// Command diskguest uses raw disks in the way that its first argument says.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/tailor-os/tailor/block"
	"github.com/tailor-os/tailor/disk"
)

func main() {
	commands := map[string]func(args []string) error{"info": info, "work": work, "files": files, "readonly": readOnly, "hold": hold}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// info prints what there is, and what an unknown disk's error is.
func info([]string) error {
	fmt.Println("names", strings.Join(disk.Names(), " "))
	for _, name := range disk.Names() {
		d, err := disk.Open(name)
		if err != nil {
			return err
		}
		fmt.Println(name, d.Size(), d.SectorSize(), d.ReadOnly())
		_, err = disk.Open(name)
		fmt.Println("again:", name, err != nil, strings.Contains(fmt.Sprint(err), "is in use"))
		d.Close()
	}
	_, err := disk.Open("other")
	fmt.Println(err, errors.Is(err, os.ErrNotExist))
	return nil
}

// work has 16 goroutines use parts of a disk at once, while another counts.
func work(args []string) error {
	d, err := disk.Open("data")
	if err != nil {
		return err
	}
	rounds, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	const users = 16
	var ticks, calls atomic.Int64
	end := make(chan struct{})
	go func() {
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Millisecond):
				ticks.Add(1)
			}
		}
	}()
	var group sync.WaitGroup
	failures := make([]error, users)
	part := d.Size() / users
	start := time.Now()
	for i := range users {
		group.Go(func() { failures[i] = user(d, int64(i)*part, part, uint64(i), rounds, &calls) })
	}
	group.Wait()
	took := time.Since(start)
	close(end)
	fmt.Println("calls", calls.Load(), "ticks", ticks.Load(), "milliseconds", took.Milliseconds())
	return errors.Join(append(failures, d.Flush(), d.Close())...)
}

// user writes at random to the n bytes at off, and compares with what it remembers.
func user(d block.Device, off, n int64, seed uint64, rounds int, calls *atomic.Int64) error {
	r := rand.New(rand.NewPCG(seed, 1))
	model := make([]byte, n)
	if err := d.WriteAt(model, off); err != nil {
		return err
	}
	sectors := n / 512
	for i := range rounds {
		at := r.Int64N(sectors)
		p := make([]byte, 512*(1+r.Int64N(min(sectors-at, 32))))
		calls.Add(1)
		if i%2 == 0 {
			for j := range p {
				p[j] = byte(r.Uint32())
			}
			copy(model[512*at:], p)
			if err := d.WriteAt(p, off+512*at); err != nil {
				return err
			}
			continue
		}
		if err := d.ReadAt(p, off+512*at); err != nil {
			return err
		}
		if !bytes.Equal(p, model[512*at:][:len(p)]) {
			return fmt.Errorf("user %d, round %d: not what was written", seed, i)
		}
	}
	all := make([]byte, n)
	if err := d.ReadAt(all, off); err != nil {
		return err
	}
	if !bytes.Equal(all, model) {
		return fmt.Errorf("user %d: not what was written at the end", seed)
	}
	return nil
}

// files uses a disk with package os alone: any offset works.
func files([]string) error {
	d, err := disk.Open("data")
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.Path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size != d.Size() {
		return fmt.Errorf("the end is at %d, %w", size, err)
	}
	fmt.Println("device", st.Mode()&(os.ModeDevice|os.ModeCharDevice) == os.ModeDevice)
	text := []byte(strings.Repeat("not a whole number of sectors. ", 100))
	if _, err := f.WriteAt(text, 1000); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	got := make([]byte, len(text)+2)
	if _, err := f.ReadAt(got, 999); err != nil || !bytes.Equal(got[1:len(got)-1], text) {
		return fmt.Errorf("read %.20q, %w", got, err)
	}
	var small [100]byte // of the stack
	n, err := f.ReadAt(small[:], size-10)
	fmt.Println("at the end:", n, err)
	if st.Mode()&os.ModeDevice != 0 { // a file grows
		n, err = f.WriteAt(small[:], size-10)
		fmt.Println("beyond:", n, errors.Is(err, syscall.ENOSPC))
		fmt.Println("truncate:", f.Truncate(0) != nil)
	}
	if _, err := f.Seek(1000, io.SeekStart); err != nil {
		return err
	}
	line, err := bufio.NewReader(f).ReadString('.')
	fmt.Println(line, err)
	return d.Discard(0, d.Size())
}

// readOnly tries to change what cannot be.
func readOnly([]string) error {
	a, err := disk.Open("data")
	if err != nil {
		return err
	}
	b, err := disk.OpenReadOnly("data") // beside the first
	if err != nil {
		return err
	}
	p := make([]byte, 512)
	fmt.Println(a.ReadOnly(), b.ReadAt(p, 0), b.Size() == a.Size())
	for _, err := range []error{a.WriteAt(p, 0), a.Discard(0, 512), a.Flush()} {
		fmt.Println("refused:", errors.Is(err, block.ErrReadOnly))
	}
	for _, off := range []int64{-512, 7, a.Size()} {
		fmt.Println("out of range:", errors.Is(a.ReadAt(p, off), block.ErrRange))
	}
	return nil
}

// hold does to the disk what is on standard input, line by line.
func hold([]string) error {
	d, err := disk.Open("data")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	p := []byte(strings.Repeat("x", 4096))
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var err error
		switch in.Text() {
		case "write":
			err = d.WriteAt(p, d.Size()-8192)
		case "read":
			err = d.ReadAt(p, d.Size()-4096)
		case "flush":
			err = d.Flush()
		}
		fmt.Println(in.Text(), "failed", errors.Is(err, block.ErrIO), err == nil)
	}
	return d.Close()
}
