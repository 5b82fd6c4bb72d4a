package image

import "fmt"

// Parts says what an image is made of as far as its bytes do not: who lists what is
// in an image compares it with them, and where both speak, the bytes are right.
type Parts struct {
	// Modules are those of the program, and those laid into the standard library's
	// tree, of which the linker records nothing.
	Modules []Module `json:"modules,omitempty"`
	Port    *Port    `json:"port,omitempty"` // nil for none
	// Overlay is the number of files of source that the user's own -overlay replaced.
	Overlay int `json:"overlay,omitempty"`
}

// A Module is one whose packages were compiled into an image.
type Module struct {
	Path    string `json:"path"`              // "stdlib" for Go's own
	Version string `json:"version,omitempty"` // "" for a folder without one
	Sum     string `json:"sum,omitempty"`     // h1, of those that are laid
	// Licences are SPDX identifiers of what is in its folder, nil if none is known.
	Licences []string `json:"licences,omitempty"`
	// Laid is set for a module that Tailor brings.
	Laid bool `json:"laid,omitempty"`
}

// Port is what was changed of the Go tree.
type Port struct {
	Edits  int    `json:"edits"`  // of files of GOROOT
	Edited int    `json:"edited"` // files of GOROOT that another stands in for
	Added  int    `json:"added"`  // files that GOROOT has not
	SHA256 string `json:"sha256"` // of their names and contents, hexadecimal
}

const maxModules = 16 << 10

// checkFields checks what [Note.checkFields] does.
func (p *Parts) checkFields() error {
	if p == nil {
		return nil
	}
	if len(p.Modules) > maxModules {
		return fmt.Errorf("%d modules, more than %d", len(p.Modules), maxModules)
	}
	for _, m := range p.Modules {
		if err := m.checkFields(); err != nil {
			return err
		}
	}
	if p.Port == nil {
		return nil
	}
	return checkText("hash of the port", p.Port.SHA256, 64)
}

func (m *Module) checkFields() error {
	if err := checkText("path of a module", m.Path, 1024); err != nil {
		return err
	}
	for field, text := range map[string]string{"version of a module": m.Version, "hash of a module": m.Sum} {
		if text != "" {
			if err := checkText(field, text, 1024); err != nil {
				return err
			}
		}
	}
	for _, id := range m.Licences {
		if err := checkText("licence", id, 128); err != nil {
			return err
		}
	}
	return nil
}
