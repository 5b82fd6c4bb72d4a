package main

import (
	"io"
	"os"
	"testing"
)

func TestHello(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	main()
	os.Stdout = stdout
	w.Close()
	if out, err := io.ReadAll(r); string(out) != "Hello, world!\n" || err != nil {
		t.Errorf("got %q, %v", out, err)
	}
}
