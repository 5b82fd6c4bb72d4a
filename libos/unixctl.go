package libos

// Ancillary data (include/linux/socket.h, net/core/scm.c).
const (
	scmRights      = 1
	scmCredentials = 2
	cmsgHead       = 16  // size of struct cmsghdr, to which messages are aligned by 8
	maxRights      = 253 // SCM_MAX_FD
)

// control is the ancillary data of one call.
type control struct {
	cred     ucred
	withCred bool
	files    []*desc // with a reference each
}

// parseControl reads what sendmsg was given, and takes a reference to each
// descriptor named.
func parseControl(oob []byte) (c control, errno Errno) {
	c.cred = ownCred
	for len(oob) >= cmsgHead {
		size := int(min(getUint64(oob), 1<<31))
		if size < cmsgHead || size > len(oob) {
			errno = EINVAL
			break
		}
		level, typ := getUint32(oob[8:]), getUint32(oob[12:])
		if level == solSocket {
			if errno = c.add(typ, oob[cmsgHead:size]); errno != 0 {
				break
			}
		}
		oob = oob[min((size+7)&^7, len(oob)):]
	}
	if errno != 0 {
		c.drop()
	}
	return c, errno
}

func (c *control) add(typ uint32, data []byte) Errno {
	switch typ {
	case scmRights:
		return c.addFiles(data)
	case scmCredentials:
		if len(data) != len(bytesOf(&c.cred)) {
			return EINVAL
		}
		copy(bytesOf(&c.cred), data)
		if c.cred.pid != processID {
			return ESRCH
		}
		c.withCred = true
		return 0
	}
	return EINVAL
}

// addFiles takes the descriptors in data.
func (c *control) addFiles(data []byte) Errno {
	n := len(data) / 4
	if n+len(c.files) > maxRights {
		return EINVAL
	}
	unixNet.mu.Lock()
	flying := unixNet.inFlight
	unlockUnix()
	if flying+n > maxFDs {
		return ETOOMANYREFS
	}
	for i := range n {
		d, errno := fds.get(int(int32(getUint32(data[4*i:]))))
		if errno != 0 {
			return errno
		}
		c.files = append(c.files, d)
	}
	return 0
}

// drop gives the references up.
func (c *control) drop() {
	for _, d := range c.files {
		d.put()
	}
	c.files = nil
}

// take moves to c what came with m; a peek leaves it there as well. unixNet.mu
// is held.
func (c *control) take(m *unixMessage, cred, peek bool) {
	c.cred, c.withCred = m.cred, cred
	if len(m.files) == 0 {
		return
	}
	if peek {
		for _, d := range m.files {
			d.refs.Add(1)
		}
		c.files = append([]*desc(nil), m.files...)
		return
	}
	c.files = m.files
	unixNet.inFlight -= len(m.files)
	m.files = nil
}

// put writes c to oob, with new descriptors for the files, and returns how long
// it is and the flags with MSG_CTRUNC if it did not fit.
func (c *control) put(oob []byte, flags int) (n, outFlags int) {
	if c.withCred {
		k := putControl(oob, scmCredentials, bytesOf(&c.cred))
		if k < cmsgHead+len(bytesOf(&c.cred)) {
			flags |= msgCtrunc
		}
		n = min((k+7)&^7, len(oob))
	}
	if len(c.files) == 0 {
		return n, flags
	}
	k, all := c.putFiles(oob[n:], flags&msgCmsgCloexec != 0)
	if !all {
		flags |= msgCtrunc
	}
	return n + min((k+7)&^7, len(oob)-n), flags
}

// putControl writes one message, cut to the room there is, and returns its
// length.
func putControl(oob []byte, typ uint32, data []byte) int {
	if len(oob) < cmsgHead {
		return 0
	}
	size := min(cmsgHead+len(data), len(oob))
	putUint64(oob, uint64(size))
	putUint32(oob[8:], solSocket)
	putUint32(oob[12:], typ)
	copy(oob[cmsgHead:size], data)
	return size
}

// putFiles gives descriptors to as many files as have room, and closes the rest.
func (c *control) putFiles(oob []byte, cloexec bool) (n int, all bool) {
	room := max(len(oob)-cmsgHead, 0) / 4
	count := 0
	for count < min(room, len(c.files)) {
		d := c.files[count]
		d.refs.Add(1) // add gives it up when it fails
		fd, errno := fds.add(d, 0, cloexec)
		if errno != 0 {
			break
		}
		putUint32(oob[cmsgHead+4*count:], uint32(fd))
		count++
	}
	all = count == len(c.files)
	c.drop()
	if count == 0 {
		return 0, all
	}
	return putControl(oob, scmRights, oob[cmsgHead:cmsgHead+4*count]), all
}

func getUint32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func getUint64(b []byte) uint64 { return uint64(getUint32(b)) | uint64(getUint32(b[4:]))<<32 }

func putUint32(b []byte, v uint32) {
	b[0], b[1], b[2], b[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
}
