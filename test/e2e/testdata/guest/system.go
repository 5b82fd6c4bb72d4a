package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

func init() {
	register("args", func(args []string) {
		fmt.Println(strings.Join(args, "|"))
		for _, kv := range os.Environ() {
			if strings.HasPrefix(kv, "T_") {
				fmt.Println(kv)
			}
		}
		fmt.Fprintln(os.Stderr, "to stderr")
	})
	register("time", func([]string) {
		fmt.Println("wall", time.Now().UnixMicro())
		for _, d := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
			t := time.Now()
			time.Sleep(d)
			fmt.Println("slept", d.Microseconds(), time.Since(t).Microseconds())
		}
		last := time.Now()
		for range 200000 {
			now := time.Now()
			if now.Sub(last) < 0 {
				fmt.Println("FAIL: time went backwards")
			}
			last = now
		}
		fmt.Println("wall", time.Now().UnixMicro())
	})
	register("random", func([]string) {
		b := make([]byte, 32)
		_, err := rand.Read(b)
		check(err)
		fmt.Println(hex.EncodeToString(b))
	})
	register("cat", func([]string) {
		n, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
		fmt.Fprintln(os.Stderr, "copied", n)
	})
	register("lines", func([]string) {
		s := bufio.NewScanner(os.Stdin)
		for s.Scan() {
			fmt.Println("line:", s.Text())
		}
	})
	register("flood", func([]string) {
		line := strings.Repeat("x", 1023) + "\n"
		for range 1024 {
			fmt.Print(line)
		}
	})
	register("pour", func(args []string) {
		n, err := strconv.Atoi(args[0])
		check(err)
		piece := bytes.Repeat([]byte("0123456789abcde\n"), 4096)
		for range n {
			for range 16 {
				_, err := os.Stdout.Write(piece)
				check(err)
			}
		}
		fmt.Fprintln(os.Stderr, "poured")
	})
	register("signals", func([]string) {
		c := make(chan os.Signal, 4)
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		fmt.Println("ready")
		fmt.Println("got", <-c)
		os.Exit(7)
	})
	register("ignore-signals", func([]string) {
		c := make(chan os.Signal, 4)
		signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
		fmt.Println("ready")
		for s := range c {
			fmt.Println("ignored", s)
		}
	})
	register("sleep", func([]string) {
		fmt.Println("ready")
		time.Sleep(time.Hour)
	})
	register("spin", func([]string) {
		fmt.Println("ready")
		for i := 0; ; i++ {
			sink = i
		}
	})
	register("goroutines", func([]string) {
		var wg sync.WaitGroup
		c := make(chan int, 16)
		for i := range 1000 {
			wg.Go(func() { c <- i })
		}
		go func() { wg.Wait(); close(c) }()
		sum := 0
		for v := range c {
			sum += v
		}
		fmt.Println("sum", sum, "procs", runtime.GOMAXPROCS(8), runtime.GOMAXPROCS(0), runtime.NumCPU())
		runtime.LockOSThread()
		done := make(chan bool)
		go func() { runtime.LockOSThread(); done <- true }()
		<-done
		runtime.UnlockOSThread()
		fmt.Println("locked ok")
	})
	register("gc", func([]string) {
		var keep [64][]byte
		for i := range 20000 {
			keep[i%len(keep)] = make([]byte, 1+i%20000)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println("collected", m.NumGC > 2)
	})
	register("vectors", func([]string) {
		// Signals and traps must keep vector registers: sum floats while
		// nil dereferences are recovered.
		s := 0.0
		for i := range 1000 {
			func() {
				defer func() { _ = recover() }()
				nilBig.x[1] = i
			}()
			s += float64(i) * 0.5
		}
		fmt.Println(s)
	})
	register("files", func([]string) {
		check(os.WriteFile("/tmp/a", []byte("hello"), 0o644))
		b, err := os.ReadFile("/tmp/a")
		check(err)
		fmt.Println(string(b))
		_, err = os.ReadFile("/tmp/none")
		fmt.Println(err)
		h, err := os.Hostname()
		check(err)
		fmt.Println(h != "", os.Getpid() > 0)
	})
	register("nothing", func([]string) {})
}

func init() {
	register("goversion", func([]string) { fmt.Println(runtime.Version()) })
}
