package ring0

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/tailor-os/tailor/abi"
)

// disassemble returns the instructions of code placed at addr, one a line.
func disassemble(t *testing.T, code []byte, addr uint64) []string {
	t.Helper()
	var lines []string
	for len(code) > 0 {
		inst, err := x86asm.Decode(code, 64)
		if err != nil {
			t.Fatalf("at %#x: %v: % x", addr, err, code[:min(len(code), 12)])
		}
		lines = append(lines, x86asm.GNUSyntax(inst, addr, nil))
		code = code[inst.Len:]
		addr += uint64(inst.Len)
	}
	return lines
}

// The stubs are machine code written by hand: another assembler's reader must
// see what was meant.
func TestTrapStubs(t *testing.T) {
	code := MonitorStubs()
	if len(code) > TrapStackLow-StubAddr {
		t.Fatalf("%d bytes of stubs do not fit", len(code))
	}
	common := uint64(StubAddr + NumVectors*stubSize)
	for v := range uint64(NumVectors) {
		stub := code[v*stubSize : (v+1)*stubSize]
		lines := disassemble(t, stub, StubAddr+v*stubSize)
		n := 0
		if !pushesError(int(v)) {
			if lines[0] != "pushq $0x0" {
				t.Errorf("vector %d begins with %q", v, lines[0])
			}
			n++
		}
		if want := "pushq $0x" + hex(v); lines[n] != want {
			t.Errorf("vector %d: %q, want %q", v, lines[n], want)
		}
		// The jump's target, which the listing gives relative to itself.
		end := v*stubSize + uint64(strings.Index(string(stub), "\xe9")) + 5
		rel := int32(binary.LittleEndian.Uint32(code[end-4:]))
		if got := StubAddr + end + uint64(rel); got != common {
			t.Errorf("vector %d jumps to %#x, want %#x", v, got, common)
		}
	}
	text := strings.Join(disassemble(t, code[NumVectors*stubSize:], common), "\n")
	for _, want := range []string{
		"testb $0x3,0x18(%rsp)", "cmpq $0x0,", "mov %cr2,%rax", "iretq", "pushq $0x33", "hlt",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the common part has no %q:\n%s", want, text)
		}
	}
	// What ring 3 cannot take goes on behind the IRETQ, where the bell is rung.
	end := uint64(StubAddr + bytes.LastIndex(code, []byte{0x48, 0xcf}) + 2)
	for _, jump := range []string{"je", "jne", "je"} {
		if want := fmt.Sprintf("%s 0x%x", jump, end); !strings.Contains(text, want) {
			t.Errorf("the common part has no %q:\n%s", want, text)
		}
	}
	for _, reg := range []string{"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx"} {
		if !strings.Contains(text, "mov %"+reg+",0x12") {
			t.Errorf("the common part does not save %s:\n%s", reg, text)
		}
	}
}

func hex(v uint64) string {
	const digits = "0123456789abcdef"
	if v < 16 {
		return digits[v : v+1]
	}
	return hex(v>>4) + digits[v&15:v&15+1]
}

func TestDescriptorTables(t *testing.T) {
	mem := make([]byte, abi.SystemEnd)
	WriteMonitorTables(mem)
	le := binary.LittleEndian
	for v := range uint64(NumVectors) {
		gate := mem[IDTAddr+16*v:]
		lo, hi := le.Uint64(gate), le.Uint64(gate[8:])
		addr := lo&0xffff | lo>>48<<16 | hi<<32
		dpl := lo >> 45 & 3
		wantDPL := uint64(0)
		if v == 3 || v == 4 {
			wantDPL = 3
		}
		if addr != StubAddr+v*stubSize || lo>>16&0xffff != SelKernelCode || lo>>47&1 != 1 || dpl != wantDPL {
			t.Errorf("gate %d is %#x %#x", v, hi, lo)
		}
	}
	if got := le.Uint64(mem[TSSAddr+4:]); got != TrapStackHigh {
		t.Errorf("RSP0 is %#x", got)
	}
	const dplMask, code64 = 3 << 45, 1 << 53
	user := le.Uint64(mem[GDTAddr+SelUserCode&^3:])
	if user&dplMask != dplMask || user&code64 == 0 {
		t.Errorf("user code segment %#x", user)
	}
	if kernel := le.Uint64(mem[GDTAddr+SelKernelCode:]); kernel&dplMask != 0 || kernel&code64 == 0 {
		t.Errorf("kernel code segment %#x", kernel)
	}
}
