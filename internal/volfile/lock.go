package volfile

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
)

// lock takes the lock that goes with the way the volume is open.
func (v *File) lock() error {
	how := unix.LOCK_EX
	if v.readOnly {
		how = unix.LOCK_SH
	}
	err := retry(func(fd int) error { return unix.Flock(fd, how|unix.LOCK_NB) }, v.f)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		if err != nil {
			err = fmt.Errorf("lock %s: %w", v.f.Name(), err)
		}
		return err
	}
	remedy := "end that first; a volume can be attached several times if all attach it read-only"
	if v.readOnly {
		remedy = "end that first: while a volume is written to, nobody else can read it"
	}
	return hint.Errorf(remedy, "%s is in use%s", v.f.Name(), by(v.f))
}

// by says which process has locked f, as far as that can be found out.
func by(f *os.File) string {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return ""
	}
	locks, err := os.ReadFile("/proc/locks")
	if err != nil {
		return ""
	}
	pid := holder(string(locks), st.Dev, st.Ino)
	if pid == 0 {
		return ""
	}
	return fmt.Sprintf(" by process %d%s", pid, command(pid))
}

// holder finds the process that has the file in what /proc/locks says
// (proc_locks(5)), 0 if it is not there. Some file systems report another
// device to stat than to locks, so a match of the file's number alone counts if
// there is no better one.
func holder(locks string, dev, ino uint64) int {
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), ino)
	near := 0
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" {
			continue
		}
		pid, err := strconv.Atoi(f[4])
		switch {
		case err != nil || pid <= 0:
		case f[5] == id:
			return pid
		case strings.HasSuffix(f[5], fmt.Sprintf(":%d", ino)):
			near = pid
		}
	}
	return near
}

// command returns the beginning of a process's command line, in parentheses.
func command(pid int) string {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(line) == 0 {
		return ""
	}
	const long = 80
	text := string(bytes.TrimSpace(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
	if len(text) > long {
		text = text[:long] + "..."
	}
	return " (" + strconv.QuoteToGraphic(text)[1:len(strconv.QuoteToGraphic(text))-1] + ")"
}
