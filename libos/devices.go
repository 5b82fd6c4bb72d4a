package libos

// A devFile is an open device that has neither position nor readiness.
type devFile struct {
	read, write func(p []byte) (int, Errno)
}

func (d *devFile) Read(p []byte) (int, Errno)  { return d.read(p) }
func (d *devFile) Write(p []byte) (int, Errno) { return d.write(p) }
func (d *devFile) Close() Errno                { return 0 }

// ReadAt implements SeekFile; position means nothing to a device.
func (d *devFile) ReadAt(p []byte, _ int64) (int, Errno) { return d.read(p) }

// WriteAt implements SeekFile.
func (d *devFile) WriteAt(p []byte, _ int64) (int, Errno) { return d.write(p) }

// SeekTo implements SeekFile. As on Linux, it leads nowhere.
func (d *devFile) SeekTo(int64, int) (int64, Errno) { return 0, 0 }

func atEnd([]byte) (int, Errno)      { return 0, 0 }
func swallow(p []byte) (int, Errno)  { return len(p), 0 }
func noSpace([]byte) (int, Errno)    { return 0, ENOSPC }
func zeroFill(p []byte) (int, Errno) { clear(p); return len(p), 0 }
func randomRead(p []byte) (int, Errno) {
	if Hooks.Random == nil {
		return 0, EIO
	}
	Hooks.Random(p)
	return len(p), 0
}

// device returns the opener of a device.
func device(read, write func([]byte) (int, Errno)) func(uint32) (File, Errno) {
	f := &devFile{read, write}
	return func(uint32) (File, Errno) { return f, 0 }
}

// openStd returns the opener of /dev/stdin and its kin.
func openStd(fd int) func(uint32) (File, Errno) {
	return func(uint32) (File, Errno) { return consoleFile{fd}, 0 }
}

// makeDevices fills /dev. Numbers are those of Documentation/admin-guide/devices.txt.
func makeDevices(dev *memDir) {
	mem := func(minor uint64) uint64 { return 1<<8 | minor }
	dev.addDevice("null", mem(3), device(atEnd, swallow))
	dev.addDevice("zero", mem(5), device(zeroFill, swallow))
	dev.addDevice("full", mem(7), device(zeroFill, noSpace))
	dev.addDevice("random", mem(8), device(randomRead, swallow))
	dev.addDevice("urandom", mem(9), device(randomRead, swallow))
	dev.addDevice("stdin", 0, openStd(0))
	dev.addDevice("stdout", 0, openStd(1))
	dev.addDevice("stderr", 0, openStd(2))
}
