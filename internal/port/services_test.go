package port

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// takeConsole is a program in which goroutines write while the console is taken.
const takeConsole = `package main

import (
	"fmt"
	"sync"
)

func main() {
	const writers, lines, half = 4, 4000, 2000 // 64,000 bytes to each descriptor at most
	var mu sync.Mutex
	var got [writers]int // lines seen of each, all of them in order
	seen := func(fd int, p []byte) {
		mu.Lock()
		defer mu.Unlock()
		for ; len(p) > 0; p = p[8:] {
			var w, i int
			fmt.Sscanf(string(p[:8]), "%d %d", &w, &i)
			if got[w] != i {
				panic(fmt.Sprint("writer ", w, ": line ", i, " instead of ", got[w]))
			}
			got[w]++
		}
	}
	var writing, ends sync.WaitGroup
	taken := make(chan bool)
	for w := range writers {
		writing.Add(1)
		ends.Go(func() {
			for i := range lines {
				tailorConsole(1+w%2, fmt.Appendf(nil, "%d %05d\n", w, i), func(fd int, p []byte) (int, error) {
					if i == half {
						writing.Done()
						<-taken
					}
					return len(p), nil
				})
			}
		})
	}
	writing.Wait()
	TailorTakeConsole(func(fd int, p []byte, write func(int, []byte) (int, error)) (int, error) {
		seen(fd, p)
		return write(fd, p)
	}, seen)
	close(taken)
	ends.Wait()
	fmt.Print(got)
}
`

// What is written while the log takes the console over is seen, once and in order.
func TestTakeConsole(t *testing.T) {
	dir := t.TempDir()
	files := []string{filepath.Join(dir, "console.go"), filepath.Join(dir, "main.go")}
	for i, text := range []string{strings.Replace(consoleText, "package syscall", "package main", 1), takeConsole} {
		if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", "run", files[0], files[1]).CombinedOutput()
	if err != nil || string(out) != "[4000 4000 4000 4000]" {
		t.Errorf("%v: %s", err, out)
	}
}
