package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tailor-os/tailor/test/e2e/testdata/netguest/early"
)

func init() {
	register("interfaces", func([]string) {
		ifs, err := net.Interfaces()
		check(err)
		for _, i := range ifs {
			addrs, err := i.Addrs()
			check(err)
			fmt.Println(i.Name, i.MTU, i.Flags, addrs, i.HardwareAddr)
		}
	})
	register("addresses", func([]string) {
		begin := time.Now()
		_, err := net.InterfaceAddrs()
		check(err)
		fmt.Println("after", time.Since(begin))
		commands["interfaces"](nil)
	})
	// The network tells names one after the other: wait for all of them.
	register("await-names", func(args []string) {
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			b, err := os.ReadFile("/etc/resolv.conf")
			check(err)
			if string(b) == args[0] {
				break
			}
		}
		commands["hosts"](nil)
	})
	register("lookup", func(names []string) {
		for _, name := range names {
			lookup(name)
		}
	})
	// Looks a name up again and again, and says when it is there and when not, a number
	// of times.
	register("lookup-on", func(args []string) {
		n, there := 1, false
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			_, err := net.DefaultResolver.LookupHost(ctx, args[0])
			cancel()
			if there == (err == nil) {
				continue
			}
			there = err == nil
			if there {
				fmt.Printf("%d: %s is there\n", n, args[0])
			} else {
				fmt.Printf("%d: %s is gone: %v\n", n, args[0], err)
			}
			if fmt.Sprint(n) == args[1] {
				return
			}
			n++
		}
	})
	register("lookup-txt", func(names []string) {
		txt, err := net.LookupTXT(names[0])
		check(err)
		fmt.Println("txt", len(strings.Join(txt, "")))
	})
	// How long it takes to look names up, one after the other and again.
	register("lookup-time", func(names []string) {
		const times = 300
		took := make([][]time.Duration, len(names))
		for range times {
			for i, name := range names {
				begin := time.Now()
				_, err := net.LookupHost(name)
				check(err)
				took[i] = append(took[i], time.Since(begin))
			}
		}
		for i, name := range names {
			slices.Sort(took[i])
			fmt.Println(name, "takes", took[i][times/2], "in the median of", times)
		}
	})
	// Looks a name up in an init function, and by a resolver of the program's own.
	register("early", func(args []string) {
		fmt.Println("early:", early.Err)
		addrs, err := new(net.Resolver).LookupHost(context.Background(), args[0])
		fmt.Println("own:", addrs, err)
	})
	register("cat", func(args []string) {
		for _, name := range args {
			b, err := os.ReadFile(name)
			check(err)
			fmt.Printf("%s", b)
		}
	})
	register("hosts", func([]string) {
		for _, name := range []string{"/etc/hosts", "/etc/resolv.conf"} {
			b, err := os.ReadFile(name)
			check(err)
			fmt.Printf("== %s\n%s", name, b)
		}
		name, err := os.Hostname()
		check(err)
		lookup(name)
	})
}

func lookup(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	addrs, err := net.DefaultResolver.LookupHost(ctx, name)
	slices.Sort(addrs)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		fmt.Println(name, "not found:", dns.IsNotFound, err)
		return
	}
	check(err)
	checkf(time.Since(begin) < patience, "%s took too long", name)
	fmt.Println(name, "is", strings.Join(addrs, " "))
}
