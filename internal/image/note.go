package image

import (
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tailor-os/tailor/abi"
)

// FormatVersion is the newest version of the note's format, and of the rules
// that an image follows, that this package reads. It is incremented when an
// older tailor would misread an image; a field that an older one may ignore does
// not need that. What is written is the oldest version that says all there is to
// say: 2 for an image with files, else 1.
const FormatVersion = 2

// The note as ELF sees it: one note in a PT_NOTE segment of its own, outside
// of what is loaded.
const (
	noteOwner = "Tailor"
	noteType  = 1
)

// The descriptor: a fixed head whose layout is the same in every format, so
// that an older tailor can say which newer one made the image, then JSON.
const (
	headFormat  = 0 // uint32, FormatVersion
	headJSONLen = 4 // uint32, bytes
	headTool    = 8 // NUL-padded, the version of tailor that made the image
	headToolLen = 56
	headLen     = headTool + headToolLen

	// MaxNote bounds the whole note, in bytes.
	MaxNote = 1 << 20

	maxDevices = 64
)

// A Device is one that the image wants to be there at boot.
type Device struct {
	Type string `json:"type"`           // "net", "console", "block" (a volume), "disk" (for the program), "rng" or "fs"
	Name string `json:"name,omitempty"` // what it is called on the command line, less than 32 bytes
}

// A Note describes an image. Fields that a reader does not know are ignored;
// see [FormatVersion].
type Note struct {
	Format    uint32   `json:"-"`          // version of the format, see FormatVersion
	Tailor    string   `json:"-"`          // version of the tailor that made it
	ABI       uint32   `json:"abi"`        // abi.Version that it was built for
	Target    string   `json:"target"`     // "hvt"
	Arch      string   `json:"arch"`       // GOARCH: "amd64"
	Go        string   `json:"go"`         // Go release, "go1.26.8"
	Main      string   `json:"main"`       // import path of package main
	MinMemory uint64   `json:"min_memory"` // bytes of guest memory below which it does not start, 0 if not known
	Devices   []Device `json:"devices,omitempty"`
	Trace     []string `json:"trace,omitempty"`    // what run --trace can show: "syscalls"
	Services  []string `json:"services,omitempty"` // what was linked on demand: "dhcp", "luks", "metrics", "ntp", "syslog+udp", "syslog+tcp", "syslog+tls", "dns+cache", "dns+tls"
	Files     *Files   `json:"files,omitempty"`    // nil if the image carries none
	Parts     *Parts   `json:"parts,omitempty"`    // nil if not recorded
	Build     *Build   `json:"build,omitempty"`    // nil if it is not known
}

// A Build is what the image was built from and how, beside what is in [Note] and in the
// record of Go's linker (debug/buildinfo: modules and their sums, GOAMD64,
// GOEXPERIMENT, defaults of GODEBUG). Nothing in it is of the machine that built it.
// Its texts may have any characters.
type Build struct {
	// Tool is a hash of Tailor's own sources that were laid over Go's, Source one of the
	// program's that no module's sum stands for, Files one of what --file put in.
	Tool   string   `json:"tool,omitempty"`
	Source string   `json:"source,omitempty"`
	Files  string   `json:"files,omitempty"`
	Flags  []string `json:"flags,omitempty"` // of tailor build
	Args   []string `json:"args,omitempty"`  // what was built, if it is not Note.Main
	Env    []string `json:"env,omitempty"`   // NAME=VALUE that have an effect on the bytes
}

// Source is what tailor build takes, beside other flags, to build the image again.
func (n Note) Source() string {
	if n.Target == virtioTarget {
		return "-t " + virtioTarget + " " + n.Main
	}
	return n.Main
}

// Files says where in an image its files are (abi.FilesHead): both numbers are
// in bytes and multiples of abi.PageSize.
type Files struct {
	Offset uint64 `json:"offset"`
	Size   uint64 `json:"size"`
}

// maxFiles bounds the files of an image, in bytes: they have addresses above the
// guest's memory.
const maxFiles = 1 << 40

// check makes sure that the files are pages of the image, whose size is size.
func (f *Files) check(size uint64) error {
	switch {
	case f.Offset%abi.PageSize != 0 || f.Size%abi.PageSize != 0 || f.Size == 0 || f.Size > maxFiles:
		return badNote("files of %d bytes at byte %d, which are not whole pages or too many", f.Size, f.Offset)
	case f.Offset > size || f.Size > size-f.Offset:
		return truncated(size, f.Offset+f.Size, "the files")
	}
	return nil
}

// format is the version of the format that n needs.
func (n *Note) format() uint32 {
	if n.Files != nil {
		return 2
	}
	return 1
}

// deviceTypes are the virtio device types by the name that a note gives them.
var deviceTypes = map[string]uint32{
	"net":     abi.DeviceNet,
	"block":   abi.DeviceBlock,
	"disk":    abi.DeviceBlock,
	"console": abi.DeviceConsole,
	"rng":     abi.DeviceRNG,
	"fs":      abi.DeviceFS,
}

// VirtioType returns the virtio device type (abi.DeviceNet and the like) of
// the device, false if this tailor does not know it.
func (d Device) VirtioType() (uint32, bool) {
	t, ok := deviceTypes[d.Type]
	return t, ok
}

// CheckTarget returns an error of kind WrongTarget unless n is for target, or for
// one of others, whose images are the same.
func CheckTarget(n Note, target string, others ...string) error {
	if n.Target == target || slices.Contains(others, n.Target) {
		return nil
	}
	run := n.Target
	if run == virtioTarget {
		run = "qemu" // which tailor starts for it
	}
	return fail(WrongTarget, fmt.Sprintf("run it with -t %s, or rebuild it with: tailor build -t %s", run, target),
		"was built for target %s, not %s", n.Target, target)
}

// CheckABI returns an error of kind WrongABI unless n was built for this
// tailor's version of the contract between guest and monitor.
func CheckABI(n Note) error {
	if n.ABI == abi.Version {
		return nil
	}
	return fail(WrongABI, hintRebuild,
		"was made by tailor %s for version %d of the guest interface; this tailor has version %d", n.Tailor, n.ABI, abi.Version)
}

// CheckDevices returns an error of kind UnknownDevice if n wants a device whose
// type is not one of offered ("net", "console", ...).
func CheckDevices(n Note, offered ...string) error {
	for _, d := range n.Devices {
		if !slices.Contains(offered, d.Type) {
			return fail(UnknownDevice, "update tailor, or choose another target with -t",
				"wants a device %q of type %q, which this target does not have (it has: %s)",
				d.Name, d.Type, strings.Join(offered, ", "))
		}
	}
	return nil
}

// validate checks what both the writer and the reader of a note rely on: that
// every text but those of Build may be printed on a terminal, and fits where it will
// be copied to.
func (n *Note) validate() error {
	if err := n.checkFields(); err != nil {
		return fail(BadNote, hintRebuild, "has a bad note: %v", err)
	}
	return nil
}

func (n *Note) checkFields() error {
	texts := []struct {
		field, value string
		max          int
	}{
		{"tailor version", n.Tailor, headToolLen - 1},
		{"target", n.Target, 32},
		{"arch", n.Arch, 32},
		{"go version", n.Go, 256},
		{"main package", n.Main, 1024},
	}
	for _, t := range texts {
		if err := checkText(t.field, t.value, t.max); err != nil {
			return err
		}
	}
	if err := n.Parts.checkFields(); err != nil {
		return err
	}
	if len(n.Services) > maxDevices {
		return fmt.Errorf("%d services, more than %d", len(n.Services), maxDevices)
	}
	for _, name := range n.Services {
		if err := checkText("service", name, 32); err != nil {
			return err
		}
	}
	if len(n.Devices) > maxDevices {
		return fmt.Errorf("%d devices, more than %d", len(n.Devices), maxDevices)
	}
	for i, d := range n.Devices {
		if err := d.checkFields(); err != nil {
			return fmt.Errorf("device %d: %w", i, err)
		}
	}
	return nil
}

func (d Device) checkFields() error {
	if err := checkText("device type", d.Type, 32); err != nil {
		return err
	}
	if d.Name == "" {
		return nil
	}
	return checkText("device name", d.Name, len(abi.Device{}.Name)-1)
}

func checkText(field, s string, max int) error {
	if s == "" || len(s) > max {
		return fmt.Errorf("%s has %d bytes, must have 1 to %d", field, len(s), max)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s %q is not printable", field, s)
	}
	return nil
}

func badNote(format string, args ...any) error {
	return fail(BadNote, hintRebuild, "has a bad note: "+format, args...)
}

// encode returns the whole ELF note.
func (n *Note) encode() ([]byte, error) {
	if err := n.validate(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(n)
	if err != nil {
		return nil, badNote("%v", err)
	}
	le := binary.LittleEndian
	var desc [headLen]byte
	le.PutUint32(desc[headFormat:], n.format())
	le.PutUint32(desc[headJSONLen:], uint32(len(text)))
	copy(desc[headTool:], n.Tailor)

	b := le.AppendUint32(nil, uint32(len(noteOwner)+1))
	b = le.AppendUint32(b, uint32(headLen+len(text)))
	b = le.AppendUint32(b, noteType)
	b = pad4(append(b, noteOwner+"\x00"...))
	b = append(b, desc[:]...)
	b = pad4(append(b, text...))
	if len(b) > MaxNote {
		return nil, badNote("%d bytes, more than %d", len(b), MaxNote)
	}
	return b, nil
}

func pad4(b []byte) []byte    { return append(b, make([]byte, -len(b)&3)...) }
func padPage(b []byte) []byte { return append(b, make([]byte, -len(b)&(abi.PageSize-1))...) }

// decodeNote reads a descriptor. What a newer format keeps in place is read
// and checked first.
func decodeNote(desc []byte) (Note, error) {
	if len(desc) < headLen {
		return Note{}, badNote("%d bytes, needs %d at least", len(desc), headLen)
	}
	le := binary.LittleEndian
	n := Note{
		Format: le.Uint32(desc[headFormat:]),
		Tailor: strings.TrimRight(string(desc[headTool:headTool+headToolLen]), "\x00"),
	}
	if n.Format > FormatVersion {
		return Note{}, fail(NewerFormat, "update tailor, or rebuild the image with this one",
			"was made by tailor %q in image format %d; this tailor reads formats up to %d", n.Tailor, n.Format, FormatVersion)
	}
	if n.Format == 0 {
		return Note{}, badNote("format 0")
	}
	text := desc[headLen:]
	if want := le.Uint32(desc[headJSONLen:]); uint64(want) != uint64(len(text)) {
		return Note{}, badNote("%d bytes of JSON, its head says %d", len(text), want)
	}
	if err := json.Unmarshal(text, &n); err != nil {
		return Note{}, badNote("%v", err)
	}
	if err := n.validate(); err != nil {
		return Note{}, err
	}
	return n, nil
}

// findNote returns the descriptor of the note of owner and wanted type among the
// notes in b, nil if it is not there. Notes of others that are damaged are none of our
// business: they end the search.
func findNote(b []byte, align uint64, owner string, wanted uint32) []byte {
	if align != 8 {
		align = 4
	}
	up := func(v uint64) uint64 { return (v + align - 1) &^ (align - 1) }
	for len(b) >= 12 {
		namesz := uint64(binary.LittleEndian.Uint32(b))
		descsz := uint64(binary.LittleEndian.Uint32(b[4:]))
		typ := binary.LittleEndian.Uint32(b[8:])
		desc := up(12 + namesz)
		if desc+descsz > uint64(len(b)) {
			return nil
		}
		name := b[12 : 12+namesz]
		if typ == wanted && string(name) == owner+"\x00" {
			return b[desc : desc+descsz : desc+descsz]
		}
		b = b[min(up(desc+descsz), uint64(len(b))):]
	}
	return nil
}

// progNote is the program header of a note that occupies size bytes at off.
// It has no address: the note is for whoever starts the image, not for it.
func progNote(off, size uint64) elf.Prog64 {
	return elf.Prog64{
		Type:   uint32(elf.PT_NOTE),
		Flags:  uint32(elf.PF_R),
		Off:    off,
		Filesz: size,
		Align:  4,
	}
}
