// Command raft has three nodes of github.com/hashicorp/raft agree, over TCP on
// the loopback, with snapshots in files.
package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A log is a state machine that keeps what was applied.
type log struct {
	mu      sync.Mutex
	entries []string
}

func (l *log) Apply(e *raft.Log) any {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, string(e.Data))
	return len(l.entries)
}

func (l *log) length() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}

func (l *log) Snapshot() (raft.FSMSnapshot, error) { return l, nil }
func (l *log) Restore(r io.ReadCloser) error       { return r.Close() }
func (l *log) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (l *log) Release()                            {}

func main() {
	var nodes []*raft.Raft
	var logs []*log
	var servers []raft.Server
	for i := range 3 {
		addr := fmt.Sprintf("127.0.0.1:%d", 7000+i)
		transport, err := raft.NewTCPTransport(addr, nil, 3, time.Second, os.Stderr)
		check(err)
		snapshots, err := raft.NewFileSnapshotStore(fmt.Sprintf("/tmp/raft%d", i), 1, io.Discard)
		check(err)
		config := raft.DefaultConfig()
		config.LocalID = raft.ServerID(addr)
		config.LogLevel = "ERROR"
		store := raft.NewInmemStore()
		l := &log{}
		node, err := raft.NewRaft(config, l, store, store, snapshots, transport)
		check(err)
		nodes, logs = append(nodes, node), append(logs, l)
		servers = append(servers, raft.Server{ID: config.LocalID, Address: raft.ServerAddress(addr)})
	}
	check(nodes[0].BootstrapCluster(raft.Configuration{Servers: servers}).Error())
	leader := lead(nodes)
	for i := range 100 {
		check(leader.Apply([]byte(fmt.Sprint("entry ", i)), time.Second).Error())
	}
	check(leader.Snapshot().Error())
	for _, l := range logs {
		for l.length() < 100 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	fmt.Println("three nodes agree on", logs[2].entries[99])
}

// lead waits for a leader.
func lead(nodes []*raft.Raft) *raft.Raft {
	for {
		for _, n := range nodes {
			if n.State() == raft.Leader {
				return n
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
