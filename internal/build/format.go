package build

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/disk"
	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/params"
)

// ELF is the format that a hypervisor loads by itself: the image as it is.
const ELF = "elf"

// Formats lists the formats of an image of the target virtio.
var Formats = append([]string{ELF}, disk.Formats...)

// isDisk reports whether the image is to be a disk.
func (cfg *Config) isDisk() bool { return cfg.Format != "" && cfg.Format != ELF }

// checkFormat refuses a format, or parameters, that the target does not have.
func checkFormat(cfg Config) error {
	switch {
	case cfg.Format != "" && cfg.Target != Virtio:
		return hint.Errorf("add -t "+Virtio, "--format %s is for the target %s, this is %s", cfg.Format, Virtio, cfg.Target)
	case cfg.Format != "" && !slices.Contains(Formats, cfg.Format):
		return hint.Errorf("formats are: "+strings.Join(Formats, ", "), "unknown format %q", cfg.Format)
	case cfg.Params != "" && !cfg.isDisk():
		return hint.Errorf("who starts another image gives it its parameters: run's flags, or QEMU's -append",
			"--params is for disks: --format %s", strings.Join(disk.Formats, ", "))
	}
	return checkParams(cfg.Params)
}

// checkParams refuses what the guest would refuse at every start.
func checkParams(line string) error {
	if err := disk.CheckParams(line); err != nil {
		return err
	}
	words, err := params.Split(line)
	if err == nil {
		err = params.Check(words.System)
	}
	return hint.With(err, "see: tailor help parameters")
}

// formatDoc says what is written, for people.
func (cfg *Config) formatDoc() string {
	if !cfg.isDisk() {
		return ""
	}
	return fmt.Sprintf(" as a bootable disk (%s, parameters %q)", cfg.Format, cfg.Params)
}

// writeFormat writes an image in the format asked for.
func (cfg *Config) writeFormat(w io.Writer, img []byte) error {
	if cfg.isDisk() {
		return disk.Write(w, cfg.Format, img, cfg.Params)
	}
	_, err := w.Write(img)
	return err
}

// suffix is what is added to the name of what is built.
func (cfg *Config) suffix() string {
	switch {
	case cfg.Target == Unix:
		return ""
	case cfg.isDisk():
		return "." + cfg.Format
	}
	return ".img"
}

// ProgramName returns what the program in a file is called, and finds in
// os.Args[0].
func ProgramName(file string) string {
	name := filepath.Base(file)
	for _, suffix := range append([]string{"img", ELF}, disk.Formats...) {
		if s, ok := strings.CutSuffix(name, "."+suffix); ok && s != "" {
			return s
		}
	}
	return name
}
