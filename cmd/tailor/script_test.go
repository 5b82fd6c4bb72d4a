package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tailor-os/tailor/internal/xtest"
)

// TestMain makes this test binary stand for the tool in scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tailor": main})
}

// TestScript runs the scripts of testdata/script, one for each behaviour. With
// UPDATE_SCRIPTS=1 they take over what the tool printed.
func TestScript(t *testing.T) {
	env := scriptEnv(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, env...)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, ".cache"))
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": cmdStatus,
			"clean":  cmdClean,
			"link":   cmdLink,
		},
	})
}

// scriptEnv is what the go command needs of the outside: scripts have an
// environment of their own.
func scriptEnv(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "-json", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOROOT").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	vars := map[string]string{}
	if err := json.Unmarshal(out, &vars); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"REPO=" + root, "GOTOOLCHAIN=local", "REALGO=" + filepath.Join(vars["GOROOT"], "bin", "go")}
	for k, v := range vars {
		if k != "GOROOT" {
			env = append(env, k+"="+v)
		}
	}
	return env
}

// condition adds [kvm] to the conditions of scripts.
func condition(cond string) (bool, error) {
	if cond != "kvm" {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	return checkVM() == nil || xtest.Promised(xtest.KVM), nil
}

// cmdStatus is "status N PROGRAM [ARGUMENTS]": the program must exit with N.
func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N program [args]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// cmdClean is "clean DIR...": nothing temporary may be left in the folders, nor
// in $TMPDIR.
func cmdClean(ts *testscript.TestScript, neg bool, args []string) {
	for _, dir := range append(args, ts.Getenv("TMPDIR")) {
		entries, err := os.ReadDir(ts.MkAbs(dir))
		ts.Check(err)
		for _, e := range entries {
			if dir == ts.Getenv("TMPDIR") || e.Name() != ".tmp" && strings.HasSuffix(e.Name(), ".tmp") {
				ts.Fatalf("left behind: %s", filepath.Join(dir, e.Name()))
			}
		}
	}
}

// cmdLink is "link FILE": a link to the tool, for scripts that change PATH.
func cmdLink(ts *testscript.TestScript, neg bool, args []string) {
	tool, err := exec.LookPath("tailor")
	ts.Check(err)
	ts.Check(os.Symlink(tool, ts.MkAbs(args[0])))
}
