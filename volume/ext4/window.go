package ext4

import "slices"

// A file that grows is given more blocks than it asks for: the rest, its window, is
// kept for it in memory while it goes on growing, so that files that grow at the
// same time do not take turns on the disk. Windows are given up when space is
// short; nothing on the disk knows of them.

const (
	maxWindows = 16  // files that have one
	maxWindow  = 256 // blocks
)

// placeFor finds n blocks or fewer for block l of a file, which are held. at is what
// the file has there, a hole.
func (in *Inode) placeFor(l uint32, n int, at extent) (run, error) {
	fs := in.fs
	goal := in.goalFor(l)
	if w := in.window; w.n > 0 && w.start == goal {
		r := run{goal, min(n, w.n)}
		in.window = run{goal + uint64(r.n), w.n - r.n}
		return r, nil
	}
	in.closeWindow()
	want := n
	if at.end() == maxFileBlock && in.sectors > 0 && fs.freeBlocks > fs.blocks/8 {
		want = n + min(max(int(in.sectors>>(fs.shift-9))/2, 8), maxWindow)
	}
	var r run
	err := fs.reading(func() (err error) {
		r, err = fs.findAny(goal, want)
		return err
	})
	if err != nil {
		return run{}, err
	}
	fs.hold(r)
	if r.n > n {
		in.openWindow(run{r.start + uint64(n), r.n - n})
		r.n = n
	}
	return r, nil
}

// findAny is find, which gives up all windows if there is nothing else.
func (fs *FS) findAny(goal uint64, want int) (run, error) {
	r, err := fs.find(goal, want)
	if err != ENOSPC || len(fs.windows) == 0 {
		return r, err
	}
	for len(fs.windows) > 0 {
		fs.windows[0].closeWindow()
	}
	return fs.find(goal, want)
}

// openWindow keeps blocks, which are held, for a file.
func (in *Inode) openWindow(w run) {
	fs := in.fs
	if len(fs.windows) >= maxWindows {
		fs.windows[0].closeWindow()
	}
	in.window = w
	fs.windows = append(fs.windows, in)
}

// closeWindow gives up what is kept for a file.
func (in *Inode) closeWindow() {
	if i := slices.Index(in.fs.windows, in); i >= 0 {
		in.fs.windows = slices.Delete(in.fs.windows, i, i+1)
	}
	if in.window.n > 0 {
		in.fs.release(in.window)
	}
	in.window = run{}
}
