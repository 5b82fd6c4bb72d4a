package block

// Sub returns the n bytes of d from byte off on as a device of their own, such
// as a partition. It fails with ErrRange unless they are whole sectors of d.
func Sub(d Device, off, n int64) (Device, error) {
	if err := Check(d, off, n); err != nil {
		return nil, err
	}
	return &sub{d, off, n}, nil
}

// sub is a range of another device.
type sub struct {
	Device
	off, size int64
}

func (s *sub) Size() int64 { return s.size }

// ReadAt implements Device.
func (s *sub) ReadAt(p []byte, off int64) error {
	if err := Check(s, off, int64(len(p))); err != nil {
		return err
	}
	return s.Device.ReadAt(p, s.off+off)
}

// WriteAt implements Device.
func (s *sub) WriteAt(p []byte, off int64) error {
	if err := Check(s, off, int64(len(p))); err != nil {
		return err
	}
	return s.Device.WriteAt(p, s.off+off)
}

// Discard implements Device.
func (s *sub) Discard(off, n int64) error {
	if err := Check(s, off, n); err != nil {
		return err
	}
	return s.Device.Discard(s.off+off, n)
}

// ReadOnly returns d with every change refused.
func ReadOnly(d Device) Device {
	if d.ReadOnly() {
		return d
	}
	return readOnly{d}
}

type readOnly struct{ Device }

func (readOnly) ReadOnly() bool              { return true }
func (readOnly) WriteAt([]byte, int64) error { return ErrReadOnly }
func (readOnly) Flush() error                { return ErrReadOnly }
func (readOnly) Discard(off, n int64) error  { return ErrReadOnly }

// ReadBytes fills p from byte off on, which need not be whole sectors. What
// lies on the sectors around it is read too, into memory of its own. It fails
// with ErrRange beyond the end.
func ReadBytes(d Device, p []byte, off int64) error {
	if off < 0 || off > d.Size() || int64(len(p)) > d.Size()-off {
		return ErrRange
	}
	mask := int64(d.SectorSize() - 1)
	if (off|int64(len(p)))&mask == 0 {
		return d.ReadAt(p, off)
	}
	start, end := off&^mask, (off+int64(len(p))+mask)&^mask
	b := make([]byte, end-start)
	if err := d.ReadAt(b, start); err != nil {
		return err
	}
	copy(p, b[off-start:])
	return nil
}
