// Package yardstick has what the lines of a program are compared with: those of
// Linux, glibc and OpenSSL, counted by tools/count-linux.sh by the rules that
// Tailor counts itself by (docs/lines.md), and figures that others published.
package yardstick

import (
	_ "embed" // of the figures
	"encoding/json"
	"fmt"
)

// A Component is a program or library of C that was counted, from the line tables
// of its debug information joined with its sources. All figures but Units and the
// like are lines.
type Component struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	From    string `json:"from"` // what was counted, for people

	Instructions int `json:"instructions"` // lines with some, in all files
	// Linked are lines of code of declarations with instructions; of assembly,
	// those with instructions.
	Linked   int `json:"linked"`
	Compiled int `json:"compiled"` // lines of code of the files compiled
	Headers  int `json:"headers"`  // lines of code of the files that they include

	// Parts of these, of assembly.
	AssemblyInstructions int `json:"assembly_instructions"`
	AssemblyCompiled     int `json:"assembly_compiled"`
	// Units and HeaderFiles are how many files were compiled, and included.
	Units       int `json:"units"`
	HeaderFiles int `json:"header_files"`
	// Missing are files that are not among the sources, because the build made
	// them; of their lines only those with instructions count.
	Missing             int `json:"missing"`
	MissingInstructions int `json:"missing_instructions"`
}

// Kernel is the name of the component that would be beneath a program of Go.
const Kernel = "Linux"

// A Publication is a figure that others counted.
type Publication struct {
	What   string `json:"what"`
	Lines  int    `json:"lines"`
	Of     int    `json:"of,omitempty"` // what they compared it with, 0 for nothing
	How    string `json:"how"`          // it was counted
	Source string `json:"source"`
	Date   string `json:"date"`
}

// Figures are all that is known.
type Figures struct {
	Date       string        `json:"date"` // when the components were counted
	Components []Component   `json:"components"`
	Published  []Publication `json:"published"`
}

//go:embed linux.json
var linux []byte

//go:embed published.json
var published []byte

// Read returns the figures.
func Read() (*Figures, error) {
	f := new(Figures)
	for name, data := range map[string][]byte{"linux.json": linux, "published.json": published} {
		if err := json.Unmarshal(data, f); err != nil {
			return nil, fmt.Errorf("figures of others: %s: %w", name, err)
		}
	}
	return f, nil
}
