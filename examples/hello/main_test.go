package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

func TestHello(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "hello")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	out, err := exec.Command(bin).CombinedOutput()
	if err != nil || string(out) != "Hello, world!\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
