//go:build tailoros

#include "go_asm.h"
#include "funcdata.h"
#include "textflag.h"

// A guest that is a Linux process. The only SYSCALL instruction of Tailor's.

// func tailorSyscall(num, a1, a2, a3, a4 uintptr) uintptr
TEXT ·tailorSyscall(SB),NOSPLIT,$0-48
	MOVQ	num+0(FP), AX
	MOVQ	a1+8(FP), DI
	MOVQ	a2+16(FP), SI
	MOVQ	a3+24(FP), DX
	MOVQ	a4+32(FP), R10
	XORL	R8, R8
	XORL	R9, R9
	SYSCALL
	MOVQ	AX, ret+40(FP)
	RET

// tailorSignal is the handler of all signals: number in DI, *siginfo in SI,
// *ucontext in DX, on the signal stack. It returns to the starter's rt_sigreturn.
TEXT ·tailorSignal(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	CLD
	CMPL	DI, $31				// SIGSYS
	JEQ	instruction
	CMPL	DI, $3				// SIGQUIT
	JEQ	interrupt
	CMPL	DI, $27				// SIGPROF
	JEQ	interrupt
	CMPL	DI, $23				// SIGURG
	JEQ	interrupt
	JMP	runtime·sigtramp(SB)

instruction:
	// A SYSCALL instruction of a module's whose number the starter leaves to
	// the guest. Go on at tailorInstruction, as if that had been called there.
	LEAQ	const_tailorUcontextRegs(DX), R8
	MOVQ	(16*8)(R8), AX			// RIP, behind the instruction
	MOVQ	(15*8)(R8), CX			// RSP
	SUBQ	$8, CX
	MOVQ	AX, (CX)
	MOVQ	CX, (15*8)(R8)
	LEAQ	·tailorInstruction(SB), AX
	MOVQ	AX, (16*8)(R8)
	RET

interrupt:
	// From the monitor, which says more in abi.Control.Interrupt. Where the
	// handler would use the stack that was interrupted, it has to wait: Busy
	// stays set, and the monitor tries again.
	LEAQ	const_tailorUcontextRegs(DX), R8
	MOVQ	(15*8)(R8), CX			// RSP
	MOVQ	$const_tailorControlAddr, R9
	CMPQ	CX, const_tailorControlMaskedLow(R9)
	JCS	take
	CMPQ	CX, const_tailorControlMaskedHigh(R9)
	JCS	wait
take:
	MOVQ	(const_tailorControlInterrupt+const_tailorTrapError)(R9), AX
	MOVL	AX, 8(SI)			// si_code
	MOVQ	(const_tailorControlInterrupt+const_tailorTrapCR2)(R9), AX
	MOVQ	AX, 16(SI)			// si_addr
	MOVQ	$0, (const_tailorControlInterrupt+const_tailorTrapBusy)(R9)
	JMP	runtime·sigtramp(SB)
wait:
	RET

// tailorInstruction makes the call of a SYSCALL instruction, whose registers it
// finds and keeps, and returns behind it.
TEXT ·tailorInstruction(SB),NOSPLIT,$104-0
	NO_LOCAL_POINTERS
	MOVQ	BX, 0(SP)
	MOVQ	DX, 8(SP)
	MOVQ	SI, 16(SP)
	MOVQ	DI, 24(SP)
	MOVQ	R8, 32(SP)
	MOVQ	R9, 40(SP)
	MOVQ	R10, 48(SP)
	MOVQ	R12, 56(SP)
	MOVQ	R13, 64(SP)
	MOVQ	R14, 72(SP)
	MOVQ	R15, 80(SP)
	CALL	·tailorCall(SB)
	MOVQ	0(SP), BX
	MOVQ	8(SP), DX
	MOVQ	16(SP), SI
	MOVQ	24(SP), DI
	MOVQ	32(SP), R8
	MOVQ	40(SP), R9
	MOVQ	48(SP), R10
	MOVQ	56(SP), R12
	MOVQ	64(SP), R13
	MOVQ	72(SP), R14
	MOVQ	80(SP), R15
	RET

// func tailorSignalEntry() uintptr
TEXT ·tailorSignalEntry(SB),NOSPLIT,$0-8
	LEAQ	·tailorSignal(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
