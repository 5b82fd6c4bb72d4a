//go:build tailoros

package runtime

// tailorDiagnostics says that the program has package runtime/trace or
// runtime/metrics. Without them nobody can start a trace or read a metric, and
// what records them is not linked. The port writes true here for such a program.
const tailorDiagnostics = false
