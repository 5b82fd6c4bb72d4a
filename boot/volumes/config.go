//go:build tailoros

package volumes

import (
	"errors"
	"strconv"
	_ "unsafe" // for go:linkname

	"github.com/tailor-os/tailor/libos"
	"github.com/tailor-os/tailor/params"
)

//go:linkname runtimeArgs runtime.tailor_args
func runtimeArgs() []string

//go:linkname runtimeEnvs runtime.tailor_envs
func runtimeEnvs() []string

//go:linkname setArgs runtime.tailor_setArgs
func setArgs(args []string)

//go:linkname setEnvs runtime.tailor_setEnvs
func setEnvs(envs []string)

// settings takes over the settings file of a file system, if it has one. What was
// given at boot counts more.
func settings(fs libos.FileSystem) error {
	text, ok, err := readFile(fs.Root(), settingsFile, params.MaxSettings)
	if !ok || err != nil {
		return err
	}
	base, err := params.Settings(string(text))
	if err != nil {
		return err
	}
	if err := params.Check(base.System); err != nil {
		return err
	}
	if err := params.CheckServices(base.System); err != nil {
		return err
	}
	given, err := params.Split(string(libos.BootParams()))
	if err != nil {
		return err
	}
	args := runtimeArgs()
	given.Env, given.Args = runtimeEnvs(), args[1:]
	all := given.Over(base)
	setArgs(append(args[:1:1], all.Args...))
	setEnvs(all.Env)
	libos.Boot(libos.Params(params.Line{System: all.System}.String()))
	return nil
}

// readFile returns the contents of a file of a directory, at most a number of
// bytes. ok is false if there is none.
func readFile(dir libos.Directory, name string, most int) (data []byte, ok bool, err error) {
	n, errno := dir.Lookup(name)
	if errno == libos.ENOENT {
		return nil, false, nil
	}
	var f libos.File
	if errno == 0 {
		f, errno = n.Open(0)
	}
	if errno != 0 {
		return nil, false, failed(errno)
	}
	defer f.Close()
	file, ok := f.(libos.SeekFile)
	if !ok {
		return nil, false, errors.New("not a file")
	}
	data = make([]byte, 0, 4096)
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, errno := file.ReadAt(data[len(data):cap(data)], int64(len(data)))
		if errno != 0 {
			return nil, false, failed(errno)
		}
		if n == 0 {
			return data, true, nil
		}
		if data = data[:len(data)+n]; len(data) > most {
			return nil, false, errors.New("it is too large")
		}
	}
}

// failed is the error of a call of the library OS, whose numbers have no words here
// but for those that volumes come to.
func failed(errno libos.Errno) error {
	switch errno {
	case libos.EIO:
		return errors.New("input/output error")
	case libos.ENOTDIR:
		return errors.New("not a directory")
	case libos.EISDIR:
		return errors.New("is a directory")
	case libos.EROFS:
		return errors.New("read-only file system")
	case libos.EEXIST:
		return errors.New("file exists")
	case libos.ENOSPC:
		return errors.New("no space left on device")
	}
	return errors.New("error " + strconv.Itoa(int(errno)))
}
