package build

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
	"github.com/tailor-os/tailor/internal/port"
)

// checkEnv refuses an environment that asks for what cannot be built.
func checkEnv(environ []string, target string) error {
	vars := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	switch {
	case vars["CGO_ENABLED"] == "1":
		return hint.Errorf("unset CGO_ENABLED; packages with C in them need a pure Go replacement",
			"CGO_ENABLED=1 is set, and an image holds no C: cgo needs a C library and an operating system below it")
	case vars["GOOS"] != "" && vars["GOOS"] != "linux":
		return hint.Errorf("unset GOOS", "GOOS=%s is set: programs are compiled for linux, whose system calls Tailor answers", vars["GOOS"])
	case vars["GOARCH"] != "" && vars["GOARCH"] != "amd64":
		return hint.Errorf("unset GOARCH", "GOARCH=%s is set: target %s is made for amd64 only", vars["GOARCH"], target)
	}
	return nil
}

// checkGo refuses a toolchain that the port does not fit. The unix target
// takes any.
func checkGo(env GoEnv, cfg Config) error {
	if cfg.Target == Unix {
		return nil
	}
	return CheckVersion(env.GOVERSION, port.Supported)
}

// ErrUnsupportedGo is wrapped by the errors of [CheckVersion].
var ErrUnsupportedGo = errors.New("unsupported Go version")

// CheckVersion returns an error unless version ("go1.26.8") belongs to one of
// the releases ("1.26").
func CheckVersion(version string, supported []string) error {
	if slices.Contains(supported, port.Toolchain{Version: version}.Release()) {
		return nil
	}
	help := "install a supported Go from https://go.dev/dl/"
	if len(supported) > 0 {
		help = fmt.Sprintf("GOTOOLCHAIN=go%s.0 tailor ..., or install it from https://go.dev/dl/", supported[len(supported)-1])
	}
	return hint.Errorf(help, "%w %s (supported: %s.x)", ErrUnsupportedGo, version, strings.Join(supported, ".x, "))
}

// goFlags are what GOFLAGS and Tailor's own flags ask of go build together.
type goFlags struct {
	tags    string
	ldflags string
	overlay map[string]string // from -overlay in GOFLAGS
	mod     string            // -mod, "" to leave it to go
	fromEnv string            // -ldflags in GOFLAGS
	user    string            // the linker's flags that are not Tailor's
	vcs     bool              // GOFLAGS has -buildvcs, so it decides
	moved   string            // the flag of GOFLAGS that names a file, "" for none
}

// refusedModes are flags of go build that need what an image has not.
var refusedModes = map[string]string{
	"race": "the race detector is C code that needs an operating system's threads",
	"msan": "the memory sanitizer is C code",
	"asan": "the address sanitizer is C code",
}

// checkFlags reads GOFLAGS (the value go env prints): what cannot work is
// refused, what Tailor's own command line would hide is carried over.
func checkFlags(value string, cfg Config) (*goFlags, error) {
	f := &goFlags{tags: cfg.Tags}
	fields, err := splitQuoted(value)
	if err != nil {
		return nil, fmt.Errorf("GOFLAGS: %w", err)
	}
	for _, field := range fields {
		name, val, _ := strings.Cut(strings.TrimLeft(field, "-"), "=")
		switch name {
		case "race", "msan", "asan":
			if val != "false" && val != "0" {
				return nil, refuseMode(name)
			}
		case "buildmode":
			err = checkBuildMode(val, cfg.Target)
		case "compiler":
			if val != "gc" {
				err = hint.Errorf("remove it from GOFLAGS", "-compiler=%s in GOFLAGS: only Go's own compiler (gc) can be used", val)
			}
		case "linkshared":
			err = hint.Errorf("remove it from GOFLAGS", "-linkshared in GOFLAGS: an image has no shared libraries")
		case "mod":
			if val == "mod" {
				f.mod = "readonly" // it would edit the user's go.mod
			}
		case "ldflags":
			f.fromEnv = val
		case "tags":
			if f.tags == "" {
				f.tags = val
			}
		case "buildvcs":
			f.vcs = true
		case "modfile":
			f.moved = field
		case "overlay":
			f.moved = field
			f.overlay, err = readOverlay(val)
		}
		if err != nil {
			return nil, err
		}
	}
	if f.user = strings.TrimSpace(cfg.LDFlags); f.user == "" {
		f.user = strings.TrimSpace(f.fromEnv) // go build's own rule: the command line wins
	}
	f.ldflags, err = joinLDFlags(f.user, cfg.Target)
	return f, err
}

func refuseMode(name string) error {
	return hint.Errorf(fmt.Sprintf("remove -%s from GOFLAGS, and use it with: go test -%s", name, name),
		"-%s in GOFLAGS cannot work in an image: %s", name, refusedModes[name])
}

func checkBuildMode(mode, target string) error {
	switch {
	case mode == "exe" || mode == "default" || mode == "":
		return nil
	case mode == "pie" && target == Unix:
		return nil
	case mode == "pie":
		return hint.Errorf("remove -buildmode=pie from GOFLAGS", "-buildmode=pie in GOFLAGS: an image has fixed addresses")
	}
	return hint.Errorf(fmt.Sprintf("remove -buildmode=%s from GOFLAGS", mode),
		"-buildmode=%s in GOFLAGS: an image is one static executable, not a library", mode)
}

// joinLDFlags puts the linker's flags together. Later ones win, so Tailor's
// come first except for the address, which is not open to choice.
func joinLDFlags(user, target string) (string, error) {
	if user != "" && user[0] != '-' {
		return "", hint.Errorf("write --ldflags='-X main.version=1', without a pattern", "--ldflags %q does not begin with a flag", user)
	}
	if err := checkLDFlags(user, target); err != nil {
		return "", err
	}
	all := "-s -w"
	if target != Unix {
		// Functions begin at every 16 bytes, not 32: that saves 1 % of an image.
		all += " -funcalign=16"
	}
	if user != "" {
		all += " " + user
	}
	if target != Unix {
		all += " -T " + textAddr
	}
	return all, nil
}

// checkLDFlags refuses flags of the linker that contradict how it is used.
func checkLDFlags(user, target string) error {
	words, err := splitQuoted(user)
	if err != nil {
		return fmt.Errorf("--ldflags: %w", err)
	}
	for i, w := range words {
		name, val, hasVal := strings.Cut(strings.TrimLeft(w, "-"), "=")
		if !hasVal && i+1 < len(words) {
			val = words[i+1]
		}
		if name == "linkmode" && val == "external" || name == "extld" || name == "extldflags" {
			return hint.Errorf("remove it: Go's own linker is used", "--ldflags -%s: no C linker is involved", name)
		}
		if name == "T" && target != Unix {
			return hint.Errorf("remove it", "--ldflags -T: Tailor sets the address of the text itself")
		}
	}
	return nil
}

// readOverlay reads an overlay file of go build.
func readOverlay(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-overlay: %w", err)
	}
	var o struct{ Replace map[string]string }
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("-overlay: %s: %w", file, err)
	}
	return o.Replace, nil
}

// splitQuoted splits s at spaces; a field that begins with a quote ends at the
// next one. These are the rules of GOFLAGS (go help environment).
func splitQuoted(s string) (fields []string, err error) {
	for {
		s = strings.TrimLeft(s, " \t\n\r")
		if s == "" {
			return fields, nil
		}
		if q := s[0]; q == '"' || q == '\'' {
			end := strings.IndexByte(s[1:], q)
			if end < 0 {
				return nil, fmt.Errorf("unterminated %c string", q)
			}
			fields, s = append(fields, s[1:1+end]), s[end+2:]
			continue
		}
		end := strings.IndexAny(s, " \t\n\r")
		if end < 0 {
			end = len(s)
		}
		fields, s = append(fields, s[:end]), s[end:]
	}
}

// buildArgs are the flags of go list and go build that f stands for.
func (f *goFlags) buildArgs() (args []string) {
	if f == nil {
		return nil
	}
	if f.mod != "" {
		args = append(args, "-mod="+f.mod)
	}
	if f.tags != "" {
		args = append(args, "-tags="+f.tags)
	}
	return args
}

// baseName returns what a program of import path p is called: its last
// element, without a major version (as go build names it).
func baseName(p string) string {
	dir, last := path.Split(p)
	if len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" && dir != "" {
		return path.Base(dir)
	}
	return last
}
