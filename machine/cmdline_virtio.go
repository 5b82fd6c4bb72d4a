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

// tailorWord takes the first word off a command line: spaces end it, unless they
// are between double quotes, in which a backslash makes the next character
// ordinary. ok is false at the end.
func tailorWord(line string) (word, rest string, ok bool) {
	i := 0
	for i < len(line) && line[i] <= ' ' {
		i++
	}
	if i == len(line) {
		return "", "", false
	}
	var text []byte
	quoted := false
	for ; i < len(line) && (quoted || line[i] > ' '); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted && i+1 < len(line):
			i++
			text = append(text, line[i])
		default:
			text = append(text, c)
		}
	}
	return string(text), line[i:], true
}

const tailorMMIODevice = "virtio_mmio.device="

func tailorHasPrefix(s, prefix string) bool {
	return len(s) >= len(prefix) && s[:len(prefix)] == prefix
}

// tailorWords are the command line's words: the system's, the environment, and
// the program's arguments, its name first.
var tailorWords struct{ system, env, args []string }

func tailorSplit() {
	w := &tailorWords
	name := tailorProgramName()
	if name == "" {
		name = "main"
	}
	w.args = append(w.args, name)
	program := false
	for line := tailorCmdLine(); ; {
		word, rest, ok := tailorWord(line)
		if !ok {
			break
		}
		line = rest
		switch {
		case program:
			w.args = append(w.args, word)
		case word == "--":
			program = true
		case tailorHasPrefix(word, "env="):
			w.env = append(w.env, word[len("env="):])
		default:
			w.system = append(w.system, word)
		}
	}
	// QEMU appends its devices whatever comes before.
	for n := len(w.args) - 1; n > 0 && tailorHasPrefix(w.args[n], tailorMMIODevice); n-- {
		w.system = append(w.system, w.args[n])
		w.args = w.args[:n]
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
	params := ""
	for i, w := range tailorWords.system {
		if i > 0 {
			params += " "
		}
		params += w
	}
	info := tailorBootInfo()
	info.Params = uint64(uintptr(unsafe.Pointer(unsafe.StringData(params))))
	info.ParamsLen = uint64(len(params))
	tailorParams = params
	if v, ok := tailor_param("verbose"); ok && v != "0" {
		info.Flags |= abi.BootVerbose
	}
	tailorControlOpen()
	tailorWatchInit()
	return true
}

// tailorParams keeps the parameters alive: BootInfo is outside the heap.
var tailorParams string

func tailorEnvs() bool {
	envs = append([]string{}, tailorWords.env...) // not nil, which is "not set yet"
	return true
}

// tailorOSInit is called when the runtime starts, before there is a heap.
func tailorOSInit() {
	tailorFloatInit()
	tailor_out8(tailorCOM1+tailorUARTEnable, 0)
	tailor_out8(tailorCOM1+tailorUARTLine, 3)
	tailorClockInit()
	tailorBootInfo().Flags |= abi.BootInterrupts
	for i := range tailorStartRandom {
		tailorStartRandom[i] = tailorRandomByte(i)
	}
	startupRand = tailorStartRandom[:]
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
