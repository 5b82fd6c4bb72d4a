package libos

// A textFile is a file whose contents are computed when it is opened, like
// those below /proc. It cannot be written.
type textFile struct {
	memNode
	text func() []byte
}

// A namedText is what [AddText] was given.
type namedText struct {
	path string
	text func() []byte
}

var textFiles []namedText

// AddText adds the file path to the root file system, whose contents text
// returns each time that it is opened. It is called by init functions, before or
// after files are taken into use. text may be called by several goroutines at
// once.
func AddText(path string, text func() []byte) {
	textFiles = append(textFiles, namedText{path, text})
	if len(files.mounts) > 0 {
		files.mounts[0].fs.(*memFS).addText(textFiles[len(textFiles)-1])
	}
}

// addText makes a file that AddText has named.
func (fs *memFS) addText(t namedText) {
	d, rest := fs.root, t.path[1:]
	for name, more := cut(rest, '/'); more != ""; name, more = cut(more, '/') {
		d, rest = d.subdir(name), more
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	n := &textFile{text: t.text}
	fs.adopt(n, &Attr{Mode: ModeReg | 0o444})
	d.insert(rest, n)
}

// Open implements Node. What is read stays as it was at this moment.
func (t *textFile) Open(flags uint32) (File, Errno) {
	if flags&oACCMODE != 0 {
		return nil, EACCES
	}
	text := t.text()
	t.fs.mu.Lock()
	defer t.fs.mu.Unlock()
	f := &memFile{opens: 1} // without a name: it goes with its open file
	f.fs = t.fs
	if _, errno := f.writeAt(text, 0); errno != 0 {
		return nil, errno
	}
	return &memOpen{f: f}, 0
}
