package devices

import "sync/atomic"

// A turn lets one thread at a time work on a queue, without making another one
// wait: who comes while the turn is taken leaves word, and the one who has it
// goes around once more. So no request is lost and nobody blocks.
type turn struct{ state atomic.Uint32 }

const (
	turnFree  = iota
	turnTaken // somebody works
	turnAgain // somebody works and must go around once more
)

// take reports whether the caller has the turn. If not, whoever has it will
// have a look after this call.
func (t *turn) take() bool {
	for {
		switch t.state.Load() {
		case turnFree:
			if t.state.CompareAndSwap(turnFree, turnTaken) {
				return true
			}
		case turnTaken:
			if t.state.CompareAndSwap(turnTaken, turnAgain) {
				return false
			}
		default:
			return false
		}
	}
}

// pass gives the turn up, and reports whether it did: if not, the caller still
// has it and must go around once more.
func (t *turn) pass() bool {
	if t.state.CompareAndSwap(turnTaken, turnFree) {
		return true
	}
	t.state.Store(turnTaken)
	return false
}
