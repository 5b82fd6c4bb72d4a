package image

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tailor-os/tailor/abi"
	"github.com/tailor-os/tailor/internal/hint"
)

// testNote is a note with a value in every field.
func testNote() Note {
	return Note{
		Format:    1,
		Tailor:    "v0.1.0",
		ABI:       abi.Version,
		Target:    "hvt",
		Arch:      "amd64",
		Go:        "go1.26.8",
		Main:      "example.com/hello",
		MinMemory: 8 << 20,
		Devices:   []Device{{Type: "console"}, {Type: "net", Name: "uplink"}},
		Trace:     []string{"syscalls"},
		Services:  []string{"metrics", "syslog+tls", "luks"},
		Parts: &Parts{
			Modules: []Module{{Path: "gvisor.dev/gvisor", Version: "v1.2.3", Sum: "h1:x=", Licences: []string{"Apache-2.0", "MIT"}, Laid: true}, {Path: "example.com/m"}},
			Port:    &Port{Edits: 3, Edited: 2, Added: 4, SHA256: "00ff"}, Overlay: 1,
		},
		Build: &Build{
			Tool: "0123456789abcdef", Source: "fedcba9876543210", Files: "00",
			Flags: []string{"--ldflags", "-X main.v=\x1b\n"}, Args: []string{"main.go"}, Env: []string{"GOFLAGS=-gcflags=-B"},
		},
	}
}

// link builds testdata/hello at the image's base and returns the file.
func link(ldflags string, env ...string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "image-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "hello")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ldflags, "-o", out, "./testdata/hello")
	cmd.Env = append(os.Environ(), append([]string{"GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GOFLAGS="}, env...)...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, errors.New(string(msg))
	}
	return os.ReadFile(out)
}

var (
	linkStripped = sync.OnceValues(func() ([]byte, error) { return link("-s -w -T 0x111000") })
	linkFull     = sync.OnceValues(func() ([]byte, error) { return link("-T 0x111000") })
)

// linked returns a stripped hello without a note.
func linked(t testing.TB) []byte {
	t.Helper()
	b, err := linkStripped()
	if err != nil {
		t.Fatalf("building testdata/hello: %v", err)
	}
	return bytes.Clone(b)
}

// marked returns a stripped hello with testNote.
func marked(t testing.TB) []byte {
	t.Helper()
	b, err := AddNote(linked(t), testNote())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.img")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRealImage(t *testing.T) {
	m, err := Open(write(t, marked(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !reflect.DeepEqual(m.Note, testNote()) {
		t.Errorf("note = %+v\nwant   %+v", m.Note, testNote())
	}
	var prots []string
	for _, s := range m.Segments {
		prots = append(prots, s.Prot.String())
	}
	if got := strings.Join(prots, " "); got != "r-x r-- rw-" {
		t.Errorf("segments %s, want r-x r-- rw-", got)
	}
	if got := m.Segments[0].Vaddr; got != abi.ImageBase {
		t.Errorf("first segment at %#x, want %#x", got, abi.ImageBase)
	}
	last := m.Segments[len(m.Segments)-1]
	if last.Memsz <= last.Filesz+1<<16 || m.End%abi.PageSize != 0 || m.End < last.Vaddr+last.Memsz {
		t.Errorf("last segment %+v and end %#x do not hold the .bss", last, m.End)
	}
	if m.File() == nil {
		t.Error("no file to map segments from")
	}
}

func TestLoadSegment(t *testing.T) {
	file := marked(t)
	m, err := Open(write(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, s := range m.Segments {
		dst := bytes.Repeat([]byte{0xa5}, int(s.Memsz)+8)
		if err := m.LoadSegment(i, dst); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(dst[:s.Filesz], file[s.Offset:s.Offset+s.Filesz]) {
			t.Errorf("segment %d differs from the file", i)
		}
		if bytes.Trim(dst[s.Filesz:], "\xa5") != nil {
			t.Errorf("segment %d: bytes after those of the file were touched", i)
		}
		if err := m.LoadSegment(i, dst[:s.Memsz-1]); err == nil {
			t.Errorf("segment %d: loaded into too little memory", i)
		}
	}
	// The file shrinks between the check and the load.
	if err := os.Truncate(m.path, 5000); err != nil {
		t.Fatal(err)
	}
	err = m.LoadSegment(0, make([]byte, m.Segments[0].Memsz))
	if !errors.Is(err, Truncated) || !strings.Contains(err.Error(), "byte 5000") {
		t.Errorf("load from a cut file: %v", err)
	}
}

func TestAddNote(t *testing.T) {
	for name, build := range map[string]func() ([]byte, error){"stripped": linkStripped, "full": linkFull} {
		t.Run(name, func(t *testing.T) {
			plain, err := build()
			if err != nil {
				t.Fatal(err)
			}
			testAddNote(t, plain)
		})
	}
}

func testAddNote(t *testing.T, plain []byte) {
	before := bytes.Clone(plain)
	one, err := AddNote(plain, testNote())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(plain, before) {
		t.Error("AddNote changed its input")
	}
	if again, err := AddNote(plain, testNote()); err != nil || !bytes.Equal(again, one) {
		t.Errorf("the same input gave other bytes (%v)", err)
	}
	if twice, err := AddNote(one, testNote()); err != nil || !bytes.Equal(twice, one) {
		t.Errorf("adding the same note twice gave other bytes (%v)", err)
	}
	longer := testNote()
	longer.Main = strings.Repeat("x", 999)
	grown, err := AddNote(one, longer)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := Parse(grown); err != nil || m.Note.Main != longer.Main {
		t.Errorf("after replacing the note: %v", err)
	}
	if shrunk, err := AddNote(grown, testNote()); err != nil || !bytes.Equal(shrunk, one) {
		t.Errorf("replacing the note back gave other bytes (%v)", err)
	}
	checkStillELF(t, plain, one)
}

// checkStillELF makes sure that everything else reads the file as before: the
// ELF library sees the same sections, Go finds its build information, Linux
// starts the program.
func checkStillELF(t *testing.T, plain, marked []byte) {
	a, err := elf.NewFile(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	b, err := elf.NewFile(bytes.NewReader(marked))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Progs) != len(a.Progs)+1 {
		t.Errorf("%d program headers, want one more than %d", len(b.Progs), len(a.Progs))
	}
	if len(a.Sections) != len(b.Sections) {
		t.Fatalf("%d sections became %d", len(a.Sections), len(b.Sections))
	}
	for i := range a.Sections {
		if a.Sections[i].SectionHeader != b.Sections[i].SectionHeader {
			t.Errorf("section %s became %v", a.Sections[i].Name, b.Sections[i].SectionHeader)
		}
		x, _ := a.Sections[i].Data()
		y, _ := b.Sections[i].Data()
		if !bytes.Equal(x, y) {
			t.Errorf("contents of section %s changed", a.Sections[i].Name)
		}
	}
	path := write(t, marked)
	if info, err := buildinfo.ReadFile(path); err != nil || !strings.HasSuffix(info.Path, "testdata/hello") {
		t.Errorf("build information: %v, %v", info, err)
	}
	if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "hello, image\n" {
		t.Errorf("as a process: %q, %v", out, err)
	}
}

func TestAddNoteNoRoom(t *testing.T) {
	file := linked(t)
	var h elf.Header64
	mustDecode(t, file, &h)
	// A byte where the header would go, as a linker with other habits leaves it.
	file[h.Shoff+uint64(h.Shnum)*shSize+10] = 1
	if b, err := AddNote(file, testNote()); !errors.Is(err, NoRoom) || b != nil {
		t.Errorf("err = %v, want %v", err, NoRoom)
	}
}

func TestAddNoteRefusesBadNotes(t *testing.T) {
	for name, change := range map[string]func(*Note){
		"no arch":          func(n *Note) { n.Arch = "" },
		"other arch":       func(n *Note) { n.Arch = "arm64" },
		"long version":     func(n *Note) { n.Tailor = strings.Repeat("1", headToolLen) },
		"escape sequence":  func(n *Note) { n.Main = "\x1b[2J" },
		"not UTF-8":        func(n *Note) { n.Main = "\xff" },
		"long device name": func(n *Note) { n.Devices[1].Name = strings.Repeat("d", 32) },
		"device, no type":  func(n *Note) { n.Devices[0].Type = "" },
		"65 devices":       func(n *Note) { n.Devices = make([]Device, 65) },
	} {
		n := testNote()
		change(&n)
		if b, err := AddNote(linked(t), n); !errors.Is(err, BadNote) || b != nil {
			t.Errorf("%s: err = %v, want %v", name, err, BadNote)
		}
	}
}

func TestChecks(t *testing.T) {
	n := testNote()
	if err := errors.Join(CheckTarget(n, "hvt"), CheckABI(n), CheckDevices(n, "net", "console")); err != nil {
		t.Errorf("a note that fits: %v", err)
	}
	tests := []struct {
		err  error
		kind Kind
		text string
	}{
		{CheckTarget(n, "virtio"), WrongTarget, "was built for target hvt, not virtio; run it with -t hvt"},
		{CheckTarget(Note{Target: "virtio"}, "hvt"), WrongTarget, "run it with -t qemu, or rebuild it with: tailor build -t hvt"},
		{CheckABI(Note{ABI: abi.Version + 1, Tailor: "v9"}), WrongABI, fmt.Sprintf("was made by tailor v9 for version %d of the guest interface", abi.Version+1)},
		{CheckDevices(n, "console"), UnknownDevice, `wants a device "uplink" of type "net"`},
	}
	for _, tt := range tests {
		if !errors.Is(tt.err, tt.kind) || !strings.Contains(full(tt.err), tt.text) {
			t.Errorf("got %v\nwant %v: %s", tt.err, tt.kind, tt.text)
		}
	}
	for _, d := range n.Devices {
		if _, ok := d.VirtioType(); !ok {
			t.Errorf("no virtio type for %v", d)
		}
	}
	if _, ok := (Device{Type: "gpu"}).VirtioType(); ok {
		t.Error("a virtio type for a gpu")
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing.img")
	tests := []struct {
		path string
		kind error
		text string
	}{
		{missing, fs.ErrNotExist, missing + " cannot be read: no such file or directory; check"},
		{missing, Unreadable, ""},
		{dir, NotELF, dir + " is a directory; to run a package"},
		{fifo, NotELF, "is not a regular file"},
	}
	for _, tt := range tests {
		m, err := Open(tt.path)
		if m != nil || !errors.Is(err, tt.kind) || !strings.Contains(full(err), tt.text) {
			t.Errorf("Open(%s) = %v, %v\nwant %v: %s", tt.path, m, err, tt.kind, tt.text)
		}
	}
	path := write(t, []byte("#!/bin/sh\n"))
	_, err := Open(path)
	var e *Error
	if !errors.As(err, &e) || e.Path != path || !strings.HasPrefix(e.Error(), path+" is not a Tailor image: it is a script") {
		t.Errorf("Open(script) = %v", err)
	}
}

// full returns an error's text and its hint, as the tool prints them.
func full(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error() + "; " + hint.Of(err)
}

func mustDecode(t testing.TB, b []byte, v any) {
	t.Helper()
	if _, err := binary.Decode(b, binary.LittleEndian, v); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkOpen(b *testing.B) {
	path := write(b, marked(b))
	for b.Loop() {
		m, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkOpenAndLoad(b *testing.B) {
	path := write(b, marked(b))
	mem := make([]byte, 8<<20)
	for b.Loop() {
		m, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		for i, s := range m.Segments {
			if err := m.LoadSegment(i, mem[s.Vaddr-abi.ImageBase:]); err != nil {
				b.Fatal(err)
			}
		}
		m.Close()
	}
}
