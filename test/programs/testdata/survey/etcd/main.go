// Command etcd embeds go.etcd.io/etcd, and puts and gets a key with its client.
package main

import (
	"context"
	"fmt"
	"time"

	client "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	config := embed.NewConfig()
	config.Dir = "/tmp/etcd"
	config.LogLevel = "error"
	config.QuotaBackendBytes = 16 << 20 // a tenth more is mapped; by default 10 GiB
	server, err := embed.StartEtcd(config)
	check(err)
	<-server.Server.ReadyNotify()
	c, err := client.New(client.Config{Endpoints: []string{"http://127.0.0.1:2379"}, DialTimeout: 5 * time.Second})
	check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err = c.Put(ctx, "key", "value")
	check(err)
	answer, err := c.Get(ctx, "key")
	check(err)
	fmt.Printf("revision %d: %s\n", answer.Header.Revision, answer.Kvs[0].Value)
	server.Close()
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
