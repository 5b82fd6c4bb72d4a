// Command goredis asks github.com/tidwall/redcon with github.com/redis/go-redis.
package main

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
	"github.com/tidwall/redcon"
)

func main() {
	var mu sync.Mutex
	values := map[string]string{}
	ready := make(chan error)
	server := redcon.NewServer("127.0.0.1:6379", func(c redcon.Conn, cmd redcon.Command) {
		mu.Lock()
		defer mu.Unlock()
		switch strings.ToLower(string(cmd.Args[0])) {
		case "set":
			values[string(cmd.Args[1])] = string(cmd.Args[2])
			c.WriteString("OK")
		case "get":
			c.WriteBulkString(values[string(cmd.Args[1])])
		default:
			c.WriteError("ERR unknown command")
		}
	}, nil, nil)
	go server.ListenServeAndSignal(ready)
	if err := <-ready; err != nil {
		panic(err)
	}
	ctx := context.Background()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", Protocol: 2, DisableIdentity: true})
	if err := client.Set(ctx, "key", "value", 0).Err(); err != nil {
		panic(err)
	}
	value, err := client.Get(ctx, "key").Result()
	if err != nil {
		panic(err)
	}
	fmt.Println("key is", value)
}
