package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// The Linux that hello is compared with: Debian's cloud kernel, which its package
// manager fetches, not installs. It stays in the user's cache folder.

// linuxPackage is the package that names the newest one.
const linuxPackage = "linux-image-cloud-amd64"

// linuxMachine is the fastest microvm on which Linux finds a timer.
const linuxMachine = "microvm,acpi=off,x-option-roms=off"

// addLinux gives q a Linux, or says why there is none.
func (b *bench) addLinux(ctx context.Context, q *qemuSet) error {
	kernel, err := cloudKernel(ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: qemu without Linux: %v\n", err)
		return ctx.Err()
	}
	hello, err := os.ReadFile(b.hello.plain)
	if err != nil {
		return err
	}
	q.linux, q.init = kernel, filepath.Join(b.dir, "init.cpio")
	if err := os.WriteFile(q.init, initramfs(hello), 0o666); err != nil {
		return err
	}
	q.memory = 80 // MiB, without a search
	if b.starts < qemuStarts {
		return nil
	}
	q.least, err = smallest(48, 128, func(mib int) (bool, error) {
		for range 2 { // at the edge it is chance
			if _, err := startOf(ctx, contender{line: helloLine, args: q.linuxCommand(mib)}); err != nil {
				return false, ctx.Err()
			}
		}
		return true, nil
	})
	q.memory = q.least + 8
	return err
}

// linuxCommand is a start of Linux with that much memory. Where it lies in memory
// is not left to chance: with random places, it sometimes needs more.
func (q *qemuSet) linuxCommand(mib int) []string {
	args := byHand(linuxMachine, q.linux, "-initrd", q.init, "-serial", "stdio", "-append", "console=ttyS0 loglevel=0 reboot=t panic=-1 nokaslr")
	for i := range args {
		if args[i] == "-m" {
			args[i+1] = strconv.Itoa(mib) + "M"
		}
	}
	return args
}

var linuxDepends = regexp.MustCompile(`Depends: (linux-image-[a-z0-9.+-]+-cloud-amd64)\n`)

// cloudKernel returns the path of the kernel.
func cloudKernel(ctx context.Context) (string, error) {
	for _, tool := range []string{"apt-get", "apt-cache", "dpkg-deb"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", err
		}
	}
	out, err := output(ctx, anywhere, "apt-cache", "depends", linuxPackage)
	if err != nil {
		return "", err
	}
	m := linuxDepends.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("apt knows no package that %s is (apt-get update?)", linuxPackage)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tailor-bench")
	kernel := filepath.Join(dir, m[1])
	if _, err := os.Stat(kernel); err == nil {
		return kernel, nil
	}
	return kernel, fetchKernel(ctx, dir, m[1], kernel)
}

// fetchKernel downloads a package into dir and takes the kernel out of it.
func fetchKernel(ctx context.Context, dir, pkg, to string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp(dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	const script = `cd "$0" && apt-get -qq download "$1" >&2 && dpkg-deb -x *.deb x && mv x/boot/vmlinuz-* kernel`
	if _, err := output(ctx, anywhere, "sh", "-c", script, temp, pkg); err != nil {
		return err
	}
	return os.Rename(filepath.Join(temp, "kernel"), to)
}

// initramfs returns an archive in the format "newc" (Linux's
// Documentation/driver-api/early-userspace/buffer-format.rst) with a program as
// /init and the console.
func initramfs(init []byte) []byte {
	var b bytes.Buffer
	const folder, device, file = 0o40755, 0o20600, 0o100755
	for i, e := range []struct {
		name         string
		mode         int
		data         []byte
		major, minor int
	}{
		{"dev", folder, nil, 0, 0},
		{"dev/console", device, nil, 5, 1},
		{"init", file, init, 0, 0},
		{"TRAILER!!!", 0, nil, 0, 0},
	} {
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			i+1, e.mode, 0, 0, 1, 0, len(e.data), 0, 0, e.major, e.minor, len(e.name)+1, 0, e.name)
		align4(&b)
		b.Write(e.data)
		align4(&b)
	}
	return b.Bytes()
}

func align4(b *bytes.Buffer) { b.Write(make([]byte, -b.Len()&3)) }
