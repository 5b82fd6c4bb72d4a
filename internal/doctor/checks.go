package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tailor-os/tailor/internal/build"
	"github.com/tailor-os/tailor/internal/cache"
	"github.com/tailor-os/tailor/internal/cli"
	"github.com/tailor-os/tailor/internal/hint"
)

// path returns a path of the file system that is looked at.
func (cfg Config) path(p string) string { return filepath.Join("/", cfg.root, p) }

// readText returns the text of a small file of /proc or /sys, "" if there is
// none.
func (cfg Config) readText(p string) string {
	data, err := os.ReadFile(cfg.path(p))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func missing(name, detail, remedy string) Check { return Check{name, Missing, detail, remedy} }
func limited(name, detail, remedy string) Check { return Check{name, Limited, detail, remedy} }
func ok(name, detail string) Check              { return Check{Name: name, State: OK, Detail: detail} }

// failed returns the check of an error that carries its remedy.
func failed(name string, state State, err error) Check {
	return Check{name, state, err.Error(), hint.Of(err)}
}

// goTimeout bounds go env, which may have to fetch a toolchain.
const goTimeout = time.Minute

// checkGo looks for the go command and asks it for its version, which
// GOTOOLCHAIN and go.mod have a say in.
func checkGo(ctx context.Context, cfg Config) Check {
	const name = "go"
	path, err := build.FindGo()
	if err != nil {
		return failed(name, Missing, err)
	}
	ctx, cancel := context.WithTimeout(ctx, goTimeout)
	defer cancel()
	env, err := build.ReadGoEnv(ctx, path, cfg.Dir)
	if err != nil {
		return missing(name, fmt.Sprintf("%s: %v", path, err), "run it by hand: go version")
	}
	if err := build.CheckVersion(env.GOVERSION, cfg.Supported); err != nil {
		return failed(name, Limited, err)
	}
	return ok(name, fmt.Sprintf("%s (%s)", env.GOVERSION, path))
}

// checkCPU looks for what a guest takes from the processor without asking the
// monitor: time and entropy.
func checkCPU(cfg Config) Check {
	const name = "cpu"
	flags := cpuFlags(cfg.readText("/proc/cpuinfo"))
	var lacks []string
	for _, need := range []struct{ flag, what string }{
		{"constant_tsc", "a time stamp counter of constant rate"},
		{"rdrand", "RDRAND"},
	} {
		if !flags[need.flag] {
			lacks = append(lacks, need.what)
		}
	}
	if len(flags) == 0 {
		return limited(name, "cannot tell: no flags in /proc/cpuinfo", "mount /proc")
	}
	if len(lacks) > 0 {
		return limited(name, "no "+strings.Join(lacks, ", no "),
			"none if this is the processor; in a virtual machine, pass the host's model through (QEMU: -cpu host)")
	}
	return ok(name, "constant time stamp counter, RDRAND")
}

func cpuFlags(cpuinfo string) map[string]bool {
	flags := map[string]bool{}
	for line := range strings.Lines(cpuinfo) {
		if key, val, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "flags" {
			for _, f := range strings.Fields(val) {
				flags[f] = true
			}
			return flags
		}
	}
	return flags
}

// checkNamespaces looks at whether guests of target spt get namespaces of their
// own, which they can do without.
func checkNamespaces(cfg Config) Check {
	const name = "userns"
	for _, limit := range []struct{ file, deny string }{
		{"user/max_user_namespaces", "0"},
		{"kernel/unprivileged_userns_clone", "0"},
		{"kernel/apparmor_restrict_unprivileged_userns", "1"},
	} {
		if cfg.readText("/proc/sys/"+limit.file) == limit.deny {
			key := strings.ReplaceAll(limit.file, "/", ".")
			return limited(name, fmt.Sprintf("guests of target spt have no namespaces of their own (%s is %s)", key, limit.deny),
				"sudo sysctl -w "+key+"=..., or leave it: the filter of system calls forbids what they would")
		}
	}
	return ok(name, "guests of target spt may have namespaces of their own")
}

// lowMemory is what the tool, the go command and a guest of 32 MiB together
// should find free, in bytes.
const lowMemory = 256 << 20

func checkMemory(cfg Config) Check {
	const name = "memory"
	avail, found := meminfo(cfg.readText("/proc/meminfo"), "MemAvailable")
	if !found {
		return limited(name, "cannot tell: no /proc/meminfo", "mount /proc")
	}
	detail := fmt.Sprintf("%s available", cli.FormatSize(avail>>20<<20))
	if limit, err := strconv.ParseUint(cfg.readText("/sys/fs/cgroup/memory.max"), 10, 64); err == nil && limit < avail {
		avail = limit
		detail = fmt.Sprintf("%s allowed by the control group", cli.FormatSize(limit>>20<<20))
	}
	if avail < lowMemory {
		return limited(name, detail, "free some, or build images on another machine")
	}
	return ok(name, detail)
}

// meminfo returns a value of /proc/meminfo in bytes.
func meminfo(text, key string) (uint64, bool) {
	s := bufio.NewScanner(bytes.NewReader([]byte(text)))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) >= 2 && f[0] == key+":" {
			n, err := strconv.ParseUint(f[1], 10, 54)
			return n << 10, err == nil
		}
	}
	return 0, false
}

// checkHugePages looks at whether a memfd, which guest memory is, can have
// pages of 2 MiB.
func checkHugePages(cfg Config) Check {
	const name, file = "hugepages", "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
	text := cfg.readText(file)
	_, rest, _ := strings.Cut(text, "[")
	mode, _, found := strings.Cut(rest, "]")
	remedy := "echo advise | sudo tee " + file
	switch {
	case !found:
		return limited(name, "the kernel has no transparent huge pages for shared memory", "none; guests start a little slower")
	case mode == "never" || mode == "deny":
		return limited(name, fmt.Sprintf("off for shared memory (%s is %s): guests start a little slower", file, mode), remedy)
	}
	return ok(name, "transparent, shared memory: "+mode)
}

// checkTun looks at what --net tap:NAME needs.
func checkTun(cfg Config) Check {
	const name = "tap"
	f, err := os.OpenFile(cfg.path("/dev/net/tun"), os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		return ok(name, "/dev/net/tun can be opened")
	case errors.Is(err, fs.ErrNotExist):
		return limited(name, "no /dev/net/tun: no --net tap", "sudo modprobe tun; --net user works without it")
	case errors.Is(err, fs.ErrPermission):
		return limited(name, "/dev/net/tun: permission denied: no --net tap", "sudo chmod 666 /dev/net/tun; --net user works without it")
	}
	return limited(name, "/dev/net/tun: "+err.Error(), "sudo modprobe tun; --net user works without it")
}

// checkPing looks at whether the user-mode network may send pings for a guest
// (ICMP echo sockets, net.ipv4.ping_group_range).
func checkPing(cfg Config) Check {
	const name, key = "ping", "net.ipv4.ping_group_range"
	var lo, hi int64
	n, _ := fmt.Sscan(cfg.readText("/proc/sys/net/ipv4/ping_group_range"), &lo, &hi)
	gid := int64(cfg.gid)
	if n == 2 && lo <= gid && gid <= hi {
		return ok(name, "guests may ping the outside (--net user)")
	}
	return limited(name, fmt.Sprintf("group %d is not in %s: guests cannot ping the outside (--net user)", gid, key),
		"sudo sysctl -w "+key+"='0 2147483647'")
}

func checkCache(cfg Config) Check {
	const name = "cache"
	remedy := "export XDG_CACHE_HOME=/path/to/a/folder/that/can/be/written"
	if cfg.CacheDir == "" {
		return missing(name, "no folder for it: neither XDG_CACHE_HOME nor HOME is set", remedy)
	}
	if err := os.MkdirAll(cfg.CacheDir, 0o700); err != nil {
		return missing(name, err.Error(), remedy)
	}
	f, err := os.CreateTemp(cfg.CacheDir, ".doctor-")
	if err != nil {
		return missing(name, err.Error(), remedy)
	}
	f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return missing(name, err.Error(), remedy)
	}
	size, n := cache.Size(cfg.CacheDir)
	return ok(name, fmt.Sprintf("%s: %d MB, of %d MB at the most, in %d entries (tailor clean removes them)", cfg.CacheDir, size/1e6, cache.Limit/1_000_000, n))
}
