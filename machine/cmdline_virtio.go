//go:build tailoros && tailorvirtio

package runtime

import (
	"Tailor/abi"
	"unsafe"
)

// The command line that the loader passes: see docs/parameters.md. Words up to
// one that is -- are the system's, the rest is the program's.

// SAFETY: the platform's texts are at the contract's addresses, bounded by the
// boot stub, and nobody writes them.

func tailorCmdLine() string {
	n := min(tailor_platform().CmdLineLen, abi.MaxCmdLine)
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(abi.CmdLineAddr))), int(n))
}

func tailorProgramName() string {
	name := &tailor_platform().Name
	n := 0
	for n < len(name) && name[n] != 0 {
		n++
	}
	return unsafe.String(&name[0], n)
}

func tailorHasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && s[:len(prefix)] == prefix
}

// tailorWords are the command line's words: the system's, the environment, and
// the program's arguments, its name first. params are the system's as written.
var tailorWords struct {
	system, env, args []string
	params            string
}

func tailorSplit() {
	w := &tailorWords
	name := tailorProgramName()
	if name == "" {
		name = "main"
	}
	w.args = append(w.args, name)
	for words := paramsOf(tailorCmdLine()); ; {
		raw, program := words.next()
		if raw == "" {
			return
		}
		text := make([]byte, len(raw))
		n := paramUnquote(text, raw)
		word := string(text[:max(n, 0)])
		if n < 0 {
			word, program = raw, false // whoever checks the system's words says what is wrong
		}
		switch {
		case program:
			w.args = append(w.args, word)
		case tailorHasPrefix(word, "env="):
			w.env = append(w.env, word[len("env="):])
		default:
			w.system = append(w.system, word)
			w.params += raw + " "
		}
	}
}

// tailor_param returns the value of the system's last word NAME=VALUE.
//
//go:linkname tailor_param
func tailor_param(name string) (value string, ok bool) {
	for _, w := range tailorWords.system {
		if tailorHasPrefix(w, name) && len(w) > len(name) && w[len(name)] == '=' {
			value, ok = w[len(name)+1:], true
		}
	}
	return value, ok
}

// tailor_systemWords returns the system's words.
//
//go:linkname tailor_systemWords
func tailor_systemWords() []string { return tailorWords.system }

// tailorArgs takes the program's arguments from the command line, and makes the
// system's words the boot parameters.
func tailorArgs() bool {
	tailorSplit()
	argslice = tailorWords.args
	params := tailorWords.params // which stays alive: BootInfo is outside the heap
	info := tailorBootInfo()
	info.Params = uint64(uintptr(unsafe.Pointer(unsafe.StringData(params))))
	info.ParamsLen = uint64(len(params))
	if v, ok := tailor_param("verbose"); ok && v != "0" {
		info.Flags |= abi.BootVerbose
	}
	tailorControlOpen()
	tailorWatchInit()
	return true
}

func tailorEnvs() bool {
	envs = append([]string{}, tailorWords.env...) // not nil, which is "not set yet"
	return true
}

var tailorNextStack int32 = 16 << 10

// tailorStack is how many bytes of stack a new goroutine gets: the first one, main,
// what the initialization of packages needs. Under software emulation most of the
// start is translating code that runs once, a microsecond an instruction; this
// spares it that which makes stacks grow.
func tailorStack() int32 {
	n := tailorNextStack
	tailorNextStack = stackMin
	return n
}

// tailorOSInit is called when the runtime starts, before there is a heap.
func tailorOSInit() {
	tailorFloatInit()
	tailor_out8(tailorCOM1+tailorUARTEnable, 0)
	tailor_out8(tailorCOM1+tailorUARTLine, 3)
	tailorClockInit()
	tailorUnordered = tailorIs(tailorHypervisor(), "TCGTCGTCGTCG")
	tailorBootInfo().Flags |= abi.BootInterrupts
	for i := range tailorStartRandom {
		tailorStartRandom[i] = tailorRandomByte(i)
	}
	startupRand = tailorStartRandom[:]
	if disableMemoryProfiling {
		MemProfileRate = 0 // schedinit does so too, but after the first sample
	}
}

// tailorStartRandom seeds what the runtime does at random, such as the order of
// maps. What needs secrets asks the library OS.
var tailorStartRandom [16]byte

func tailorRandomByte(i int) byte {
	v, ok := tailor_hardwareRandom()
	if !ok {
		v = tailorTSC() * 0x9e3779b97f4a7c15 >> 32
	}
	return byte(v >> (8 * (i % 4)))
}
