// Command profguest serves its profiles (net/http/pprof) at port 80, and has some: it
// computes, and waits for a mutex. At /now it says what its clocks show.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"sync"
	"time"
)

var kept [][]byte

//go:noinline
func keep() { kept = append(kept, make([]byte, 4<<20)) }

// compute takes turns with everybody else.
func compute() {
	for sum := uint64(1); ; {
		for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; {
			for range 1000 {
				sum = sum*6364136223846793005 + 1442695040888963407
			}
		}
		if sum == 0 {
			fmt.Println("zero")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func contend(mu *sync.Mutex) {
	for {
		mu.Lock()
		time.Sleep(10 * time.Millisecond)
		mu.Unlock()
	}
}

func main() {
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	keep()
	go compute()
	var mu sync.Mutex
	for range 2 {
		go contend(&mu)
	}
	begin := time.Now()
	http.HandleFunc("/now", func(w http.ResponseWriter, _ *http.Request) {
		now := time.Now()
		fmt.Fprintln(w, now.UnixNano(), int64(now.Sub(begin)))
	})
	l, err := net.Listen("tcp", ":80")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ready")
	log.Fatal(http.Serve(l, nil))
}
