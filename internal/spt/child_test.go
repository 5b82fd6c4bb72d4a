package spt

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/image"
)

// A launcher that has failed before it is waited for says what has failed.
func TestLaunchFails(t *testing.T) {
	if err := Check(); err != nil {
		t.Skip(err)
	}
	cfg := configOf(t, nil)
	for range 10 {
		p, err := newProcess(cfg)
		if err != nil {
			t.Fatal(err)
		}
		// What begins within a page cannot be mapped.
		cfg.Image.Note.Files, p.mem.Files = &image.Files{Offset: 1}, make([]byte, 4096)
		err = p.launch(nil)
		p.mem.Files, cfg.Image.Note.Files = nil, nil
		p.close()
		if err == nil || !strings.Contains(err.Error(), "map files: invalid argument") || hint.Of(err) == "" {
			t.Fatalf("%v", err)
		}
	}
}

// What was reported is heard, though the launcher has not read that it may go on.
func TestHearReset(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	unix.Write(pair[0], []byte{1})
	unix.Write(pair[1], make([]byte, unix.EPERM)) // of step 0
	unix.Close(pair[1])
	l := &launcher{steps: []step{{what: "step"}}}
	if err := new(process).hear(pair[0], l, nil); err == nil || !strings.Contains(err.Error(), "step: operation not permitted") {
		t.Error(err)
	}
}
