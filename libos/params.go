package libos

import "github.com/tailor-os/tailor/params"

// Params are the system's boot parameters.
type Params = params.Words

// cut splits s at the first c.
func cut(s string, c byte) (before, after string) {
	for i := range len(s) {
		if s[i] == c {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
