// Concurrency is a program whose goroutines compute, block and allocate, run as
// "concurrency NAME [ARGS]".
package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"time"
)

var commands = map[string]func(args []string){
	"burn":     burnForever,
	"allocate": allocateForever,
	"clock":    clockForever,
	"profile":  profile,

	"profile-often": profileOften,
	"vectors":       vectors,
	"stall":         stall,
	"atomic":        atomicity,
	"serve":         serve,
	"fill":          fill,
	"hold":          hold,
}

func main() { commands[os.Args[1]](os.Args[2:]) }

func check(err error) {
	if err != nil {
		fmt.Println("FAIL:", err)
		os.Exit(98)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	check(err)
	return n
}

var sink int

//go:noinline
func burn(n int) {
	for i := range n {
		sink += i * i >> 3
	}
}

func parked() { select {} }

// ready says so, from a program with a goroutine that waits.
func ready() {
	go parked()
	runtime.Gosched()
	fmt.Println("ready")
}

func burnForever([]string) {
	ready()
	for {
		burn(1000)
	}
}

func allocateForever([]string) {
	ready()
	var keep [64][]byte
	for i := 0; ; i++ {
		keep[i%len(keep)] = make([]byte, i%10000)
	}
}

func clockForever([]string) {
	ready()
	for {
		sink += time.Now().Nanosecond()
	}
}

//go:noinline
func burnOne(n int) { burn(n); sink++ }

//go:noinline
func burnThree(n int) { burn(3 * n); sink++ }

// burnsIn returns how often burn is to burn for that long.
func burnsIn(d time.Duration) int {
	const tried = 100000
	best := time.Hour // nobody interrupted that one
	for range 20 {
		begin := time.Now()
		burn(tried)
		best = min(best, time.Since(begin))
	}
	return int(d * tried / best)
}

// profileOften writes one of a program that goes idle all the time.
func profileOften([]string) {
	n := burnsIn(50 * time.Microsecond)
	check(pprof.StartCPUProfile(os.Stdout))
	for begin := time.Now(); time.Since(begin) < 2*time.Second; {
		burnOne(n)
		time.Sleep(20 * time.Microsecond)
		burnThree(n)
		time.Sleep(20 * time.Microsecond)
	}
	pprof.StopCPUProfile()
}

// profile writes a CPU profile of burnOne and burnThree, a quarter and three
// quarters of two seconds, to standard output. It sleeps half of the time. They
// compute for the time of about one and of three samples at once, or longer where
// the processor is busy: so few samples have the proportion, too. The times differ,
// because those of one length would keep step with the kernel's ticks, and then
// each sample of burnOne might be late enough to be one of burnThree.
func profile([]string) {
	n := burnsIn(time.Millisecond)
	check(pprof.StartCPUProfile(os.Stdout))
	for computed := time.Duration(0); computed < 2*time.Second; {
		m := n*5 + rand.IntN(n*10)
		begin := time.Now()
		burnOne(m)
		burnThree(m)
		took := time.Since(begin)
		computed += took
		time.Sleep(took)
	}
	pprof.StopCPUProfile()
}

// vectors computes with vector registers, undisturbed and interrupted often.
func vectors([]string) {
	first := vectorResult()
	runtime.SetCPUProfileRate(2000)
	begin := time.Now()
	for time.Since(begin) < 1500*time.Millisecond {
		if r := vectorResult(); r != first {
			fmt.Println("FAIL: not the same result")
			os.Exit(98)
		}
	}
	runtime.SetCPUProfileRate(0)
	fmt.Println("same")
}

func vectorResult() string {
	buf := make([]byte, 1<<16)
	x, y := 1.0, 0.0
	for i := range buf {
		x = math.Sqrt(x*1.25 + float64(i))
		y += x
		buf[i] = byte(y)
	}
	copy(buf[1:], buf)
	return fmt.Sprintf("%x %v", sha256.Sum256(buf), y)
}

// stall computes for the given time of the processor while a ticker waits.
func stall(args []string) {
	d, err := time.ParseDuration(args[0])
	check(err)
	ticks := time.NewTicker(time.Millisecond)
	<-ticks.C
	done := make(chan bool)
	go func() { stalled(d); done <- true }()
	<-done
	<-ticks.C
	fmt.Println("done")
}

//go:noinline
func stalled(d time.Duration) {
	begin := time.Now()
	for time.Since(begin) < d {
		burn(1000)
	}
}
