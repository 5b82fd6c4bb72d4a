package doctor

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tailor-os/tailor/internal/hint"
)

// fake is a machine whose files are given.
func fake(t *testing.T, files map[string]string) Config {
	t.Helper()
	cfg := Config{root: t.TempDir(), Supported: []string{"1.26"}, CacheDir: t.TempDir(), Dir: t.TempDir()}
	for name, text := range files {
		file := filepath.Join(cfg.root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return cfg
}

// fine and boom are what others have found out.
func fine() error { return nil }
func boom() error { return hint.Errorf("mend it", "broken: %w", errors.ErrUnsupported) }

func TestChecks(t *testing.T) {
	const thp, ping = "/sys/kernel/mm/transparent_hugepage/shmem_enabled", "/proc/sys/net/ipv4/ping_group_range"
	for _, c := range []struct {
		name  string
		check func(Config) Check
		files map[string]string
		want  State
		text  string // in the detail or the remedy
	}{
		{"no kvm", checkKVM, nil, Missing, "modprobe"},
		{"kvm is a file", checkKVM, map[string]string{"/dev/kvm": ""}, Missing, "does not answer"},
		{"huge pages", checkHugePages, map[string]string{thp: "always within_size [advise] never deny force\n"}, OK, "advise"},
		{"huge pages off", checkHugePages, map[string]string{thp: "always within_size advise [never] deny force\n"}, Limited, "echo advise"},
		{"no huge pages", checkHugePages, nil, Limited, "no transparent"},
		{"ping", checkPing, map[string]string{ping: "0\t2147483647\n"}, OK, ""},
		{"ping for nobody", checkPing, map[string]string{ping: "1\t0\n"}, Limited, "sysctl"},
		{"ping unknown", checkPing, nil, Limited, "sysctl"},
		{"no tun", checkTun, nil, Limited, "modprobe tun"},
		{"cpu", checkCPU, map[string]string{"/proc/cpuinfo": "processor : 0\nflags\t\t: fpu constant_tsc rdrand\n"}, OK, ""},
		{"cpu without", checkCPU, map[string]string{"/proc/cpuinfo": "flags : fpu rdrand\n"}, Limited, "time stamp counter"},
		{"cpu unknown", checkCPU, nil, Limited, "/proc"},
		{"namespaces", checkNamespaces, nil, OK, "namespaces"},
		{"no namespaces", checkNamespaces, map[string]string{"/proc/sys/user/max_user_namespaces": "0\n"}, Limited, "user.max_user_namespaces is 0"},
		{"AppArmor", checkNamespaces, map[string]string{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, Limited, "sysctl"},
		{"memory", checkMemory, map[string]string{"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4194304 kB\n"}, OK, "4G"},
		{"little memory", checkMemory, map[string]string{"/proc/meminfo": "MemAvailable: 1024 kB\n"}, Limited, "1M"},
		{"control group", checkMemory, map[string]string{
			"/proc/meminfo": "MemAvailable: 4194304 kB\n", "/sys/fs/cgroup/memory.max": "67108864\n"}, Limited, "64M"},
		{"no limit", checkMemory, map[string]string{
			"/proc/meminfo": "MemAvailable: 4194304 kB\n", "/sys/fs/cgroup/memory.max": "max\n"}, OK, "4G"},
		{"memory unknown", checkMemory, map[string]string{"/proc/meminfo": "MemAvailable: x kB\n"}, Limited, "cannot tell"},
	} {
		got := c.check(fake(t, c.files))
		if got.State != c.want || !strings.Contains(got.Detail+got.Remedy, c.text) {
			t.Errorf("%s: %+v, want %s with %q", c.name, got, c.want, c.text)
		}
		if (got.Remedy == "") != (got.State == OK) {
			t.Errorf("%s: %+v: a remedy belongs to what is not ok", c.name, got)
		}
	}
}

func TestCache(t *testing.T) {
	cfg := fake(t, nil)
	if c := checkCache(cfg); c.State != OK {
		t.Errorf("%+v", c)
	}
	if entries, _ := os.ReadDir(cfg.CacheDir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
	cfg.CacheDir = "/proc/none"
	if c := checkCache(cfg); c.State != Missing || c.Remedy == "" {
		t.Errorf("%+v", c)
	}
	cfg.CacheDir = ""
	if c := checkCache(cfg); c.State != Missing {
		t.Errorf("%+v", c)
	}
}

func TestTargets(t *testing.T) {
	t.Setenv("PATH", t.TempDir()) // no other hypervisor
	good, old, none := ok("x", ""), limited("x", "old", "update"), missing("x", "gone", "install")
	for _, c := range []struct {
		goCheck, kvm, qemu Check
		hvt, q35, unix     State
		works              bool
	}{
		{good, good, good, OK, OK, OK, true},
		{good, none, old, Missing, Limited, OK, true},
		{old, good, none, Limited, Missing, OK, true},
		{none, good, old, Limited, Limited, Missing, true},
		{none, none, good, Missing, Limited, Missing, true},
		{none, none, none, Missing, Missing, Missing, false},
	} {
		r := Report{Targets: targets(Config{CheckSPT: boom}, c.goCheck, c.kvm, c.qemu)}
		state := map[string]State{}
		for _, t := range r.Targets {
			state[t.Name] = t.State
		}
		if state["hvt"] != c.hvt || state["qemu-q35"] != c.q35 || state["unix"] != c.unix || r.OK() != c.works {
			t.Errorf("go %s, kvm %s, qemu %s: %+v, %v", c.goCheck.State, c.kvm.State, c.qemu.State, r.Targets, r.OK())
		}
		for _, tt := range r.Targets {
			if tt.Detail == "" || tt.What == "" || tt.Hardening == "" || (tt.Missing == "") != (tt.State == OK) {
				t.Errorf("incomplete: %+v", tt)
			}
		}
	}
}

func TestSPT(t *testing.T) {
	good := ok("x", "")
	for _, c := range []struct {
		check func() error
		want  State
		text  string
	}{
		{fine, OK, ""},
		{func() error { return hint.Errorf("mend it", "no seccomp") }, Missing, "no seccomp"},
	} {
		spt := targets(Config{CheckSPT: c.check}, good, good, good)[1]
		if spt.Name != "spt" || spt.State != c.want || !strings.Contains(spt.Missing, c.text) {
			t.Errorf("%+v", spt)
		}
	}
}

func TestWriteTargets(t *testing.T) {
	var b bytes.Buffer
	good := ok("x", "")
	list := targets(Config{CheckSPT: fine}, good, good, limited("qemu", "slow", "mend it"))
	if err := WriteTargets(&b, list, 0); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nqemu-microvm      limited  ", "missing:    slow\n", "to do:      mend it\n", neverRun, tcgHardening} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	var narrow bytes.Buffer
	if err := WriteTargets(&narrow, list, 80); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(narrow.String()) {
		if len(line) > 81 {
			t.Errorf("more than 80 columns: %s", line)
		}
	}
	if got, want := strings.Fields(narrow.String()), strings.Fields(b.String()); !slices.Equal(got, want) {
		t.Errorf("other words in 80 columns: %q, %q", got, want)
	}
}

// On whatever machine this runs, the report is complete.
func TestRun(t *testing.T) {
	r := Run(t.Context(), Config{Supported: []string{"1.26", "1.27"}, CacheDir: t.TempDir(), Dir: t.TempDir(), CheckVM: boom, CheckSPT: fine})
	var b bytes.Buffer
	if err := r.Write(&b, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Checks {
		if c.Detail == "" || c.State == "" || c.Name == "kvm" && c.State != Missing {
			t.Errorf("%+v", c)
		}
		if !strings.Contains(b.String(), c.Name) || c.Remedy != "" && !strings.Contains(b.String(), c.Remedy) {
			t.Errorf("the report lacks %+v:\n%s", c, b.String())
		}
	}
	for line := range strings.Lines(b.String()) {
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("trailing space: %q", line)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}
