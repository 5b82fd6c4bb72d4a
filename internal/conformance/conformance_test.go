package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const linuxJSON = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"pass","Package":"p","Test":"TestA/x","Elapsed":0}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Test":"TestC","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestBoth"}
{"Action":"output","Package":"p","Test":"TestBoth","Output":"--- FAIL: TestBoth\n"}
{"Action":"fail","Package":"p","Test":"TestBoth","Elapsed":0}
{"Action":"fail","Package":"p","Elapsed":0.5}
{"ImportPath":"broken","Action":"build-fail"}
{"Action":"fail","Package":"broken","Elapsed":0,"FailedBuild":"broken"}
{"Action":"output","Package":"none","Output":"?   \tnone\t[no test files]\n"}
{"Action":"skip","Package":"none","Elapsed":0}
`

// TestA/x fails with a message, TestB does not end, TestC does not begin.
const vmJSON = `not json
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"run","Package":"p","Test":"TestA/x"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    a_test.go:1: no fork\n"}
{"Action":"output","Package":"p","Test":"TestA/x","Output":"    --- FAIL: TestA/x (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA/x","Elapsed":0}
{"Action":"output","Package":"p","Test":"TestA","Output":"--- FAIL: TestA (0.00s)\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"run","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"fatal error: no\n"}
{"Action":"fail","Package":"p","Test":"TestB","Elapsed":0}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`

func read(t *testing.T, text string) Results {
	t.Helper()
	r := Results{}
	if err := r.Read(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCompare(t *testing.T) {
	reasons, err := ParseReasons("# a comment\n\np TestA \"no fork\": by design: no processes\np TestA: bug: the subtest fails\n... TestB: bug: it crashes\n")
	if err != nil {
		t.Fatal(err)
	}
	linux, vm := read(t, linuxJSON), read(t, vmJSON)
	r := Compare(linux, vm, reasons)
	if want := (Count{4, 0}); r.Total != want {
		t.Errorf("total %v, want %v", r.Total, want)
	}
	var got []string
	for _, d := range r.Differences {
		got = append(got, d.Test+" "+string(d.Status)+" "+d.Reason)
	}
	want := []string{
		"TestA fail bug: the subtest fails", "TestA/x fail by design: no processes",
		"TestB cut bug: it crashes", "TestC absent ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("differences:\n%q\nwant\n%q", got, want)
	}
	if r.Unexplained != 1 || len(r.Unknown()) != 1 || r.Unknown()[0].Test != "TestC" {
		t.Errorf("unexplained: %d, %v", r.Unexplained, r.Unknown())
	}
	if !slices.Equal(r.Left, []string{"broken"}) {
		t.Errorf("left out: %q", r.Left)
	}
	if got := missing(linux["p"], vm["p"]); !slices.Equal(got, []string{"TestC"}) {
		t.Errorf("to be run again: %q", got)
	}
	page := r.Page(About{Go: "go1", Command: "c", Machine: "m"})
	for _, want := range []string{
		"**0 of the 4 tests", "1 have no explanation.", "## Unexplained (1)\n\n- p: `TestC` (absent)",
		"## By design: no processes (1)\n\n- p: `TestA/x`\n", "| p | 4 | 0 | 0.0 | 0.1 |", "broken",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestMerge(t *testing.T) {
	p := &Package{Tests: map[string]*Test{"A": {Status: Cut}, "B": {Status: Fail}}}
	p.Merge(&Package{Tests: map[string]*Test{"A": {Status: Pass}, "B": {Status: Pass}, "C": {Status: Cut}}})
	if p.Tests["A"].Status != Pass || p.Tests["B"].Status != Fail || p.Tests["C"].Status != Cut {
		t.Errorf("merged: %v %v %v", p.Tests["A"], p.Tests["B"], p.Tests["C"])
	}
}

func TestReasonsBad(t *testing.T) {
	for _, line := range []string{
		"p", "p TestA", "p TestA by design: x", "p TestA: because", "p [: bug: x", "p TestA \"x: bug: y", "p A B: bug: x", "p A \"\": bug: x",
	} {
		if _, err := ParseReasons(line); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
	if _, err := Known(); err != nil {
		t.Error(err)
	}
}

func TestSkip(t *testing.T) {
	list, err := ParseReasons("p TestA: bug: x\np TestB hangs: by design: y\np TestC hangs \"z\": bug: z\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := list.Skip(); !slices.Equal(got, []string{"-skip", "^(TestB|TestC)$"}) || list[:1].Skip() != nil {
		t.Errorf("flags %q", got)
	}
}

func TestKeepsEndOfOutput(t *testing.T) {
	p := &Package{}
	test := &Test{}
	for range 3 {
		p.output(test, strings.Repeat("x", outputLimit))
	}
	p.output(test, "end")
	if len(test.Output) != outputLimit || !strings.HasSuffix(test.Output, "end") {
		t.Errorf("%d bytes are kept", len(test.Output))
	}
}

// The runner reads a real go test, and runs again what a crash has cut off.
func TestRunner(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module m\n\ngo 1.26\n")
	write("m_test.go", `package m

import ("os"; "testing")

func crash(t *testing.T) {
	if os.Getenv("CRASH") != "" {
		os.Exit(3)
	}
}

func TestA(t *testing.T) {}
func TestB(t *testing.T) { crash(t) }
func TestC(t *testing.T) {}
func TestD(t *testing.T) { t.Run("sub", crash) }
func TestE(t *testing.T) {}
func TestF(t *testing.T) { t.Parallel() }
`)
	r := Runner{Go: "go", Args: []string{"test", "-vet=off"}, Dir: dir, Timeout: time.Minute, Stderr: os.Stderr}
	ctx := context.Background()
	want, err := r.Run(ctx, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	r.Env = []string{"CRASH=1"}
	got, err := r.Run(ctx, []string{"."})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Complete(ctx, want, got); err != nil {
		t.Fatal(err)
	}
	states := map[string]Status{"TestA": Pass, "TestB": Cut, "TestC": Pass, "TestD": Cut, "TestD/sub": Cut, "TestE": Pass, "TestF": Pass}
	for name, status := range states {
		if test := got["m"].Tests[name]; test == nil || test.Status != status {
			t.Errorf("%s: %+v, want %s", name, test, status)
		}
	}
	file := filepath.Join(dir, "kept", "r.json")
	if err := got.Save(file); err != nil {
		t.Fatal(err)
	}
	if again, err := Load(file); err != nil || len(again["m"].Tests) != len(got["m"].Tests) {
		t.Errorf("kept and read: %v, %v", again, err)
	}
}

// FuzzRead feeds it output of any program.
func FuzzRead(f *testing.F) {
	f.Add(linuxJSON)
	f.Add(vmJSON)
	f.Add(`{"Action":"output","Package":"p","Test":"","Output":"x"}`)
	f.Fuzz(func(t *testing.T, text string) {
		r := Results{}
		if err := r.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		report := Compare(r, r, nil)
		if report.Total.Linux != report.Total.Both || report.Unexplained != 0 {
			t.Fatalf("%q differs from itself: %+v", text, report)
		}
	})
}

func TestCompareNames(t *testing.T) {
	linux := read(t, `{"Action":"pass","Package":"p","Test":"TestP/0xc000123400"}
{"Action":"pass","Package":"p","Test":"TestS/a/b"}`)
	vm := read(t, `{"Action":"pass","Package":"p","Test":"TestP/0x2b4280a640a0"}
{"Action":"output","Package":"p","Test":"TestS","Output":"no go command\n"}
{"Action":"skip","Package":"p","Test":"TestS"}`)
	reasons, err := ParseReasons(`... ... "no go command": by design: it starts a program`)
	if err != nil {
		t.Fatal(err)
	}
	r := Compare(linux, vm, reasons)
	if r.Total != (Count{Linux: 2, Both: 1}) || r.Unexplained != 0 {
		t.Errorf("%+v, %d unexplained; want the address ignored, and the subtest explained by the test above", r.Total, r.Unexplained)
	}
	for name, tt := range map[string]struct {
		linux, vm []string // tests; what fails ends in !
		want      Count
	}{
		"two of one name":          {[]string{"T/0xc000123400"}, []string{"T/0x2b4280a640a0", "T/0x2b4280a640b0!"}, Count{1, 0}},
		"one with its counterpart": {[]string{"T/0x123456", "T/0xc000123400"}, []string{"T/0x123456"}, Count{2, 1}},
		"each with its own":        {[]string{"T/0x123456", "T/0xc000123400"}, []string{"T/0x123456", "T/0x2b4280a640a0"}, Count{2, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			results := func(tests []string) Results {
				var lines strings.Builder
				for _, test := range tests {
					action := "pass"
					if strings.HasSuffix(test, "!") {
						action = "fail"
					}
					fmt.Fprintf(&lines, `{"Action":%q,"Package":"p","Test":%q}`+"\n", action, strings.TrimSuffix(test, "!"))
				}
				return read(t, lines.String())
			}
			for range 20 { // the order in a map is another each time
				if r := Compare(results(tt.linux), results(tt.vm), reasons); r.Total != tt.want {
					t.Fatalf("%+v, want %+v", r.Total, tt.want)
				}
			}
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	dir := t.TempDir()
	started := filepath.Join(dir, "started")
	script := filepath.Join(dir, "go")
	// As the go command does, it leaves the interrupt to what it has started.
	text := "#!/bin/sh\ntrap '' INT\nsleep 600 &\necho $! >" + started + ".tmp; mv " + started + ".tmp " + started + "; wait\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(started); err == nil {
				cancel()
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	r := Runner{Go: script, Dir: dir, Timeout: time.Minute, grace: 100 * time.Millisecond}
	if _, err := r.Run(ctx, []string{"p"}); err == nil {
		t.Error("no error")
	}
	data, _ := os.ReadFile(started)
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d was left behind", pid)
}
