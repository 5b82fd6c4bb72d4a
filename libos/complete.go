//go:build tailoros

package libos

// complete says that the program makes system calls of its own, and so has all
// groups of calls. The port writes true here for such a program.
const complete = false
