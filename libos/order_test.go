package libos

import (
	"reflect"
	"testing"
)

// tableAtStart is what the init functions of the package leave; other tests
// change the table.
var tableAtStart [maxCall + 1]call

func init() { tableAtStart = table }

// TestGroupsBeforeBase: a program that makes system calls of its own has all
// groups from an init function on that runs before those of the files behind it
// in the alphabet. The base group must not put its refusals back.
func TestGroupsBeforeBase(t *testing.T) {
	for _, group := range [][]listed{fileCalls, pipeCalls, mapCalls, otherCalls} {
		for _, c := range group {
			if want, got := reflect.ValueOf(c.fn).Pointer(), reflect.ValueOf(tableAtStart[c.num].fn).Pointer(); got != want {
				t.Errorf("%s is not what its group says", CallName(uintptr(c.num)))
			}
		}
	}
}
