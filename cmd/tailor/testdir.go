package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tailor-os/tailor/internal/hint"
)

// testDirVar names the folder through which test and the exec of each of its
// test binaries speak. It is passed on to no guest.
const testDirVar = "TAILOR_TEST_DIR"

// A testDir is that folder, "" if exec was not started by test.
type testDir string

// testFacts are what exec need not find out once more.
type testFacts struct {
	GOROOT     []string // the Go tree and links to it
	GOMODCACHE string
	// Env are the user's values of variables that test has changed for go, nil
	// for one that was not set.
	Env map[string]*string
}

func newTestDir(facts testFacts) (testDir, error) {
	dir, err := os.MkdirTemp("", "tailor-test-")
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(facts)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "facts.json"), data, 0o600)
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return testDir(dir), nil
}

func (d testDir) remove() {
	if d != "" {
		os.RemoveAll(string(d))
	}
}

// facts reads what test knows; nothing if there is no test.
func (d testDir) facts() (f testFacts, err error) {
	if d == "" {
		return f, nil
	}
	data, err := os.ReadFile(filepath.Join(string(d), "facts.json"))
	if err != nil {
		return f, hint.With(fmt.Errorf("read what tailor test says: %w", err), "unset "+testDirVar)
	}
	return f, json.Unmarshal(data, &f)
}

// report tells test about a failure that is not the test's own.
func (d testDir) report(err error) {
	if d == "" || err == nil {
		return
	}
	f, ferr := os.OpenFile(d.reportFile(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if ferr != nil {
		return // exit code and message remain
	}
	defer f.Close()
	fmt.Fprintln(f, strings.ReplaceAll(err.Error(), "\n", " "))
}

func (d testDir) reportFile() string { return filepath.Join(string(d), "report") }

// failures returns an error if exec has reported some.
func (d testDir) failures() error {
	data, err := os.ReadFile(d.reportFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	slices.Sort(lines)
	return hint.Errorf("see the lines \"tailor: error:\" above; tailor doctor checks this machine",
		"tailor failed, not the tests: %s", strings.Join(slices.Compact(lines), "; "))
}

// userValues returns what the variables that settings change are now.
func userValues(settings []string) map[string]*string {
	values := map[string]*string{}
	for _, kv := range settings {
		name, _, _ := strings.Cut(kv, "=")
		values[name] = nil
		if v, ok := os.LookupEnv(name); ok {
			values[name] = &v
		}
	}
	return values
}

// guestEnv is the environment for a test: the user's own, without TMPDIR, which
// is a folder of the host.
func guestEnv(environ []string, changed map[string]*string) []string {
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if _, ours := changed[name]; ours || name == testDirVar || name == "TMPDIR" {
			continue
		}
		out = append(out, kv)
	}
	for name, v := range changed {
		if v != nil {
			out = append(out, name+"="+*v)
		}
	}
	slices.Sort(out)
	return out
}
