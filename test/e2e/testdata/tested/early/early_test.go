package early

import (
	"fmt"
	"os"
	"testing"
)

func init() {
	fmt.Println("leaving early")
	os.Exit(7)
}

func Test(t *testing.T) {}
