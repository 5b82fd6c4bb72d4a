//go:build !tailoros

package netstack

import (
	"testing"

	"github.com/tailor-os/tailor/virtio/netdev/netdevtest"
)

// TestBuffersOnStack takes the way of buffers that lie on the caller's stack,
// which no test can put there.
func TestBuffersOnStack(t *testing.T) {
	pretendStack = true
	defer func() { pretendStack = false }()
	t.Run("kernel", TestLikeLinux)
	a, b, _ := newPair(t, netdevtest.Options{})
	c1, c2, err := connPair(b, a, host1)
	if err != nil {
		t.Fatal(err)
	}
	defer c1.Close()
	defer c2.Close()
	if err := transfer(c1, c2, 4<<20); err != nil {
		t.Error(err)
	}
}

func TestHeapParts(t *testing.T) {
	pretendStack = true
	defer func() { pretendStack = false }()
	parts := [][]byte{[]byte("ab"), nil, []byte("cde")}
	safe, replaced := heapParts(nil, parts, true)
	if !replaced || len(safe) != 3 || string(safe[0]) != "ab" || string(safe[2]) != "cde" || &safe[0][0] == &parts[0][0] {
		t.Fatalf("%q, replaced %v", safe, replaced)
	}
	copy(safe[0], "xy")
	copy(safe[2], "zzz")
	copyBack(parts, safe, 3)
	if string(parts[0]) != "xy" || string(parts[2]) != "zde" {
		t.Errorf("copied back: %q", parts)
	}
}
