package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is written in the end is what was verified, or not written as if it was.
func TestWasVerified(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.img")
	if err := os.WriteFile(file, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	if err := wasVerified(file, abc); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte("abd"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := wasVerified(file, abc); err == nil || !strings.Contains(err.Error(), "its source changed meanwhile") {
		t.Errorf("another file: %v", err)
	}
}
