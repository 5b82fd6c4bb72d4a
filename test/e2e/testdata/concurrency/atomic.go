package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// shared is what goroutines read, change and write back without a lock.
var shared struct{ value int }

type shape interface{ area(n int) int }

type square struct{ side []int }

func (s square) area(n int) int { return s.side[n%len(s.side)] * n }

// deep grows the stack.
func deep(n int) int {
	var frame [64]int
	frame[n%64] = n
	if n == 0 {
		return 0
	}
	return deep(n-1) + frame[n%64] - n
}

// work calls functions, allocates, grows maps and stacks, starts goroutines and
// fails and recovers, but does nothing that waits. It returns 1.
func work(i int) int {
	m := map[int]*square{}
	for k := range 20 {
		m[k] = &square{make([]int, 1+(i+k)%200)}
	}
	var s shape = m[i%20]
	text := strings.Repeat(fmt.Sprint(i), 3)
	buffered := make(chan int, 1)
	buffered <- s.area(i)
	func() {
		defer func() { _ = recover() }()
		_ = m[99].side[0]
	}()
	go func() { text += "x" }()
	return 1 + <-buffered*0 + deep(i%300) + len(text)*0
}

// enough is how many updates there have to be, however slow the machine is.
const enough = 12000

// atomicity lets goroutines update one variable for some seconds, at the least,
// and counts the updates that got lost.
func atomicity(args []string) {
	end := time.Now().Add(time.Duration(number(args[0])) * time.Second)
	more := func() bool {
		late := time.Since(end)
		return late < 0 || shared.value < enough && late < time.Minute
	}
	var wg sync.WaitGroup
	counts := make([]int, 8)
	for g := range counts {
		wg.Go(func() {
			for i := 0; more(); i++ {
				n := shared.value
				n += work(i)
				shared.value = n
				counts[g]++
				block(g, i)
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Println("updates", sum, "lost", sum-shared.value, "collections", m.NumGC)
}

// block yields now and then, in one of several ways.
func block(g, i int) {
	switch (g + i) % 7 {
	case 0:
		time.Sleep(time.Microsecond)
	case 1:
		runtime.Gosched()
	case 2:
		c := make(chan bool)
		go func() { c <- true }()
		<-c
	}
}

// serve answers HTTP requests while goroutines allocate as fast as they can and
// others wait for ever. It yields only where a collector would not know of it.
func serve([]string) {
	for range 4 {
		go parked()
		go allocator()
	}
	l, err := net.Listen("tcp", ":80")
	check(err)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, strings.Repeat("x", 1000))
	})
	go func() { check(http.Serve(l, nil)) }()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("ready")
	ticks := time.NewTicker(10 * time.Millisecond)
	n := 0
	for {
		select {
		case <-ticks.C:
			n++
			continue
		case <-stop:
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println("collections", m.NumGC, "ticks", n)
		return
	}
}

type tree struct {
	left, right *tree
	data        [16]byte
}

func grow(depth int) *tree {
	if depth == 0 {
		return nil
	}
	return &tree{left: grow(depth - 1), right: grow(depth - 1)}
}

func allocator() {
	var keep [8]*tree
	for i := 0; ; i++ {
		keep[i%len(keep)] = grow(10)
		runtime.Gosched()
	}
}
