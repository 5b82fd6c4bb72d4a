package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// An entry is what a visitor wrote. In the file it is a line of JSON.
type entry struct {
	Time time.Time `json:"time"`
	Name string    `json:"name"`
	Text string    `json:"text"`
}

const (
	maxName  = 100  // bytes
	maxText  = 2000 // bytes
	maxLine  = 64 << 10
	maxShown = 100 // entries on the page
	maxBatch = 256 // entries that are written at once
)

var (
	// errBroken is that the disk has failed: what is on it is not known any more.
	errBroken = errors.New("the disk has failed; restart to write again")

	errClosed = errors.New("the book is closed")
)

// A book is the file of entries. One goroutine writes: what has come in while it
// waited for the disk goes there together, so that many visitors cost one wait.
type book struct {
	file  *os.File
	sync  func() error // the file's, in tests another
	posts chan post
	quit  chan struct{} // closed to end the goroutine
	done  chan struct{} // closed when the goroutine has ended

	mu     sync.Mutex
	size   int64   // bytes of the file that are on the disk
	n      int     // entries of the file
	recent []entry // the last maxShown, oldest first
	broken bool
}

// A post is an entry on its way to the disk.
type post struct {
	entry entry
	err   chan<- error // buffered
}

// openBook opens the file of entries in a folder, or creates it. The line that a
// machine was writing when it stopped was acknowledged to nobody, and is removed.
func openBook(dir string) (*book, error) {
	f, err := os.OpenFile(filepath.Join(dir, "entries.jsonl"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	b := &book{file: f, sync: f.Sync, posts: make(chan post), quit: make(chan struct{}), done: make(chan struct{})}
	if err := b.load(dir); err != nil {
		f.Close()
		return nil, err
	}
	go b.write()
	return b, nil
}

func (b *book) load(dir string) error {
	if err := b.read(); err != nil {
		return fmt.Errorf("%s: %w", b.file.Name(), err)
	}
	if err := b.file.Truncate(b.size); err != nil {
		return err
	}
	if err := b.sync(); err != nil {
		return err
	}
	return syncFolder(dir) // which may have a new file
}

// syncFolder has the names of a folder's files written to the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// read reads the entries that there are.
func (b *book) read() error {
	rest, buf := []byte(nil), make([]byte, maxLine)
	for at := int64(0); ; {
		n, err := b.file.ReadAt(buf, at)
		at += int64(n)
		rest = append(rest, buf[:n]...)
		for {
			line, more, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			var e entry
			if err := json.Unmarshal(line, &e); err != nil {
				return fmt.Errorf("byte %d: %w", b.size, err)
			}
			b.add(e)
			b.size += int64(len(line)) + 1
			rest = more
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case len(rest) > maxLine:
			return fmt.Errorf("byte %d: a line of more than %d bytes", b.size, maxLine)
		}
	}
}

// add adds an entry to those that are shown.
func (b *book) add(e entry) {
	b.n++
	b.recent = append(b.recent, e)
	if len(b.recent) > 2*maxShown {
		b.recent = append(b.recent[:0:0], b.recent[len(b.recent)-maxShown:]...)
	}
}

// close ends what openBook began.
func (b *book) close() {
	close(b.quit)
	<-b.done
	b.file.Close()
}

// put writes an entry. When it returns nil, the entry is on the disk.
func (b *book) put(e entry) error {
	err := make(chan error, 1)
	select {
	case b.posts <- post{e, err}:
		return <-err
	case <-b.done:
		return errClosed
	}
}

func (b *book) write() {
	defer close(b.done)
	for {
		select {
		case p := <-b.posts:
			batch := b.gather(p)
			err := b.commit(batch)
			for _, p := range batch {
				p.err <- err
			}
		case <-b.quit:
			return
		}
	}
}

// gather returns a post and those that wait behind it.
func (b *book) gather(p post) []post {
	batch := []post{p}
	for len(batch) < maxBatch {
		select {
		case p := <-b.posts:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// commit writes entries, all or none.
func (b *book) commit(batch []post) error {
	if b.broken {
		return errBroken
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	for _, p := range batch {
		if err := enc.Encode(p.entry); err != nil {
			return err
		}
	}
	if _, err := b.file.WriteAt(text.Bytes(), b.size); err != nil {
		return b.undo(err)
	}
	if err := b.sync(); err != nil {
		if !errors.Is(err, syscall.ENOSPC) {
			b.stop(err) // what the disk has is not known, whatever a second fsync says
		}
		return b.undo(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.size += int64(text.Len())
	for _, p := range batch {
		b.add(p.entry)
	}
	return nil
}

// undo removes what was written in part. If even that fails, so does all from now
// on.
func (b *book) undo(err error) error {
	e := b.file.Truncate(b.size)
	if e == nil {
		e = b.sync()
	}
	if e != nil {
		b.stop(fmt.Errorf("%w; then: %w", err, e))
	}
	return err
}

// stop has no more entries taken.
func (b *book) stop(err error) {
	log.Printf("%v; no more entries are taken", err)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = true
}

func (b *book) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

// latest returns the last entries, newest first.
func (b *book) latest() []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []entry
	for i := len(b.recent) - 1; i >= 0 && len(list) < maxShown; i-- {
		list = append(list, b.recent[i])
	}
	return list
}

// all returns the entries that are on the disk, as lines of JSON.
func (b *book) all() *io.SectionReader {
	b.mu.Lock()
	defer b.mu.Unlock()
	return io.NewSectionReader(b.file, 0, b.size)
}
