// Command wsclient has people talk in a chat over WebSockets: each says some
// lines at once, and each must hear all lines of all.
//
//	wsclient URL PEOPLE LINES
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

func main() {
	if err := chat(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "wsclient:", err)
		os.Exit(1)
	}
}

func chat(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: wsclient URL PEOPLE LINES")
	}
	people, _ := strconv.Atoi(args[1])
	lines, _ := strconv.Atoi(args[2])
	conns := make([]*websocket.Conn, people)
	for i := range conns {
		c, resp, err := websocket.DefaultDialer.Dial(args[0], nil)
		if err != nil {
			return fmt.Errorf("join: %w (%v)", err, resp)
		}
		defer c.Close()
		conns[i] = c
	}
	begin := time.Now()
	var wg sync.WaitGroup
	failed := make(chan error, 2*people)
	for i, c := range conns {
		wg.Go(func() { failed <- say(c, i, lines) })
		wg.Go(func() { failed <- hear(c, people, lines) })
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	fmt.Printf("%d people heard %d lines each in %v\n", people, people*lines, time.Since(begin).Round(time.Millisecond))
	return nil
}

func line(who, n int) string { return fmt.Sprintf("%d says %d: grüße", who, n) }

// say says lines, one after the other.
func say(c *websocket.Conn, who, lines int) error {
	for n := range lines {
		if err := c.WriteMessage(websocket.TextMessage, []byte(line(who, n))); err != nil {
			return fmt.Errorf("say: %w", err)
		}
	}
	return nil
}

// hear reads until all lines were heard: each once, those of each in order. The
// server may put several into one message.
func hear(c *websocket.Conn, people, lines int) error {
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	next := make([]int, people)
	for heard := 0; heard < people*lines; {
		_, text, err := c.ReadMessage()
		if err != nil {
			return fmt.Errorf("hear: %w, after %d lines of %d", err, heard, people*lines)
		}
		for l := range strings.SplitSeq(string(text), "\n") {
			var who, n int
			if _, err := fmt.Sscanf(l, "%d says %d:", &who, &n); err != nil || who < 0 || who >= people || l != line(who, next[who]) {
				return fmt.Errorf("heard %q, which was not to come next", l)
			}
			next[who]++
			heard++
		}
	}
	return nil
}
