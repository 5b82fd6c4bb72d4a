// Package vmtest lets tests build images and boot them with the tool, as its
// users do: the tool and each image are built once a test program, output can be
// waited for, and nothing outlives a test.
//
// Its functions end the test on failure, so they are for the test's goroutine,
// but for the methods of [Output], which any goroutine may call.
package vmtest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the repository, seen from the folders of the tests that use this
// package: two levels deep.
const root = "../.."

var work string // folder for the tool and the images, removed at the end

// Main runs the tests of m and returns the exit code. TestMain calls it, and
// passes what it returns to os.Exit.
func Main(m *testing.M) int {
	var err error
	if work, err = os.MkdirTemp("", "tailor-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	return m.Run()
}

// LookAtSources looks at the files that the tool and the images are made of. The
// go command remembers what a test has looked at, and reports a cached result
// only while that is unchanged; what programs it starts look at, it cannot know.
// Nor what TestMain looks at.
func LookAtSources() error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin"):
			return filepath.SkipDir
		case slices.Contains([]string{".go", ".s", ".h", ".mod", ".sum"}, filepath.Ext(path)):
			_, err = os.Stat(path)
			if errors.Is(err, os.ErrNotExist) { // another's file of the moment
				err = nil
			}
		}
		return err
	})
}

var tool = sync.OnceValues(func() (string, error) {
	if err := LookAtSources(); err != nil {
		return "", err
	}
	path := filepath.Join(work, "tailor")
	out, err := exec.Command("go", "build", "-ldflags=-s -w", "-o", path, "github.com/tailor-os/tailor/cmd/tailor").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the tool: %w\n%s", err, out)
	}
	return path, nil
})

// Tool returns the path of the tool, which the first call builds.
func Tool(t testing.TB) string {
	t.Helper()
	path, err := tool()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var images sync.Map // target and package to func() (string, error)

// Dir returns a folder that is removed when the tests end.
func Dir() string { return work }

// Image returns the path of the image, or plain program, of a package for a
// target; the first call builds it. The package is written as for tailor build;
// a relative folder counts from the test's.
func Image(t testing.TB, target, pkg string) string {
	t.Helper()
	key := target + " " + pkg
	once, _ := images.LoadOrStore(key, sync.OnceValues(func() (string, error) {
		path := filepath.Join(work, strings.NewReplacer("/", "_", ".", "_", " ", "-", "@", "-").Replace(key)+".img")
		tailor, err := tool()
		if err != nil {
			return "", err
		}
		out, err := exec.Command(tailor, "build", "-t", target, "-o", path, pkg).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("tailor build -t %s %s: %w\n%s", target, pkg, err, out)
		}
		return path, nil
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
