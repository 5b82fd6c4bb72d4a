package ends

import (
	"bufio"
	"os"
	"testing"
	"time"
)

func TestFail(t *testing.T) { t.Error("on purpose") }

func TestPanic(t *testing.T) { panic("on purpose") }

func TestForever(t *testing.T) {
	waitForever(make(chan int))
}

func waitForever(c chan int) {
	select {
	case <-c:
	case <-time.After(time.Hour):
	}
}

func TestDeadlock(t *testing.T) { select {} }

func TestMemory(t *testing.T) {
	var keep [][]byte
	for {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		keep = append(keep, b)
	}
}

func deep(n int) int { return deep(n+1) + 1 }

func TestStack(t *testing.T) { deep(0) }

func TestMuch(t *testing.T) {
	w := bufio.NewWriterSize(os.Stdout, 1<<16)
	line := make([]byte, 100)
	for i := range line {
		line[i] = 'x'
	}
	line[99] = '\n'
	for range 1 << 20 {
		w.Write(line)
	}
	w.Flush()
}
