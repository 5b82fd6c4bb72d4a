//go:build tailoros

#include "go_asm.h"
#include "funcdata.h"
#include "textflag.h"

// Exceptions as signals. The ring-0 stubs save the interrupted registers in
// abi.Control.Trap and return to ring 3 at tailorTrap, with the stack pointer
// at TrapStack. From there on this is what Linux does for a signal handler: a
// siginfo and a ucontext on the signal stack, then runtime·sigtramp.

// For each vector (AMD APM volume 2, table 8-1): the signal and its si_code.
DATA trapSignal<>+0x00(SB)/8, $0x0b040b0b05050508 // DE DB NMI BP OF BR UD NM, lowest first
DATA trapSignal<>+0x08(SB)/8, $0x0b0b0b07070b0b0b // DF -- TS NP SS GP PF --
DATA trapSignal<>+0x10(SB)/8, $0x0b0b0b0b08070708 // MF AC MC XF VE CP -- --
DATA trapSignal<>+0x18(SB)/8, $0x0b0b0b0b0b0b0b0b
GLOBL trapSignal<>(SB), RODATA, $32

TEXT ·tailorTrap(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	$const_tailorControlAddr, AX
	// 1. The signal stack: from its top, or below what is in use if a
	// handler itself was interrupted.
	MOVQ	(const_tailorControlTrap+const_tailorTrapRSP)(AX), CX
	CMPQ	CX, const_tailorControlTrapLow(AX)
	JLS	fresh
	CMPQ	CX, const_tailorControlTrapStack(AX)
	JHI	fresh
	LEAQ	-128(CX), SP
fresh:
	SUBQ	$(const_tailorUcontextSize+const_tailorSiginfoSize+64), SP
	ANDQ	$~15, SP
	LEAQ	const_tailorSiginfoSize(SP), R13	// ucontext
	// 2. Zero both, then copy the 18 registers, which are in Linux's order.
	MOVQ	SP, DI
	MOVQ	$((const_tailorUcontextSize+const_tailorSiginfoSize)/8), CX
	MOVQ	AX, DX
	XORL	AX, AX
	CLD
	REP; STOSQ
	MOVQ	DX, AX
	LEAQ	const_tailorControlTrap(AX), SI
	LEAQ	const_tailorUcontextRegs(R13), DI
	MOVQ	$18, CX
	REP; MOVSQ
	// 3. The signal. A page fault says whether the page was there (bit 0 of
	// the error code: SEGV_MAPERR 1, SEGV_ACCERR 2) and gives the address.
	MOVQ	(const_tailorControlTrap+const_tailorTrapVector)(AX), BX
	ANDQ	$31, BX
	MOVQ	$trapSignal<>(SB), CX
	MOVBLZX	(CX)(BX*1), DI
	MOVQ	(const_tailorControlTrap+const_tailorTrapRIP)(AX), R8
	MOVL	$1, R9
	CMPL	BX, $14
	JNE	general
	MOVQ	(const_tailorControlTrap+const_tailorTrapCR2)(AX), R8
	MOVQ	(const_tailorControlTrap+const_tailorTrapError)(AX), R9
	ANDL	$1, R9
	INCL	R9
	JMP	deliver
general:
	CMPL	BX, $6
	JEQ	undefined
	CMPL	BX, $13
	JNE	deliver
	XORL	R8, R8
	MOVL	$0x80, R9			// SI_KERNEL: no address
deliver:
	MOVQ	$0, (const_tailorControlTrap+const_tailorTrapBusy)(AX)
	MOVL	DI, 0(SP)			// si_signo
	MOVL	R9, 8(SP)			// si_code
	MOVQ	R8, 16(SP)			// si_addr
	MOVQ	SP, SI
	MOVQ	R13, DX
	CALL	runtime·sigtramp(SB)
	// 4. Go on where the handler says, which sigpanic may have changed. The
	// flags and the address are popped off the interrupted stack itself, so
	// that no privileged return is needed; SI too, because once SP has left
	// the signal stack, an interrupt may use that anew.
	LEAQ	const_tailorUcontextRegs(R13), SI
resume:
	MOVQ	(15*8)(SI), CX			// RSP
	SUBQ	$24, CX
	MOVQ	(16*8)(SI), AX			// RIP
	MOVQ	AX, 16(CX)
	MOVQ	(17*8)(SI), AX			// RFLAGS
	MOVQ	AX, 8(CX)
	MOVQ	(9*8)(SI), AX			// RSI
	MOVQ	AX, 0(CX)
	MOVQ	CX, (15*8)(SI)
	MOVQ	(0*8)(SI), R8
	MOVQ	(1*8)(SI), R9
	MOVQ	(2*8)(SI), R10
	MOVQ	(3*8)(SI), R11
	MOVQ	(4*8)(SI), R12
	MOVQ	(5*8)(SI), R13
	MOVQ	(6*8)(SI), R14
	MOVQ	(7*8)(SI), R15
	MOVQ	(8*8)(SI), DI
	MOVQ	(10*8)(SI), BP
	MOVQ	(11*8)(SI), BX
	MOVQ	(12*8)(SI), DX
	MOVQ	(13*8)(SI), AX
	MOVQ	(14*8)(SI), CX
	MOVQ	(15*8)(SI), SP
	BYTE	$0x5e				// POPQ SI and POPFQ, which the
	BYTE	$0x9d				// assembler would count
	RET

undefined:
	// A SYSCALL instruction that no edit reached, in the assembly of a module
	// (golang.org/x/sys/unix has two): go on as if tailorInstruction was called.
	CMPB	0(R8), $0x0f
	JNE	deliver
	CMPB	1(R8), $0x05
	JNE	deliver
	MOVQ	$0, (const_tailorControlTrap+const_tailorTrapBusy)(AX)
	LEAQ	const_tailorUcontextRegs(R13), BX
	ADDQ	$2, R8
	MOVQ	(15*8)(BX), CX			// RSP
	SUBQ	$8, CX
	MOVQ	R8, (CX)
	MOVQ	CX, (15*8)(BX)
	LEAQ	·tailorInstruction(SB), R8
	MOVQ	R8, (16*8)(BX)			// RIP
	MOVQ	BX, SI
	JMP	resume

// tailorInstruction makes the call of a SYSCALL instruction, whose registers it
// finds and keeps, and returns behind it.
TEXT ·tailorInstruction(SB),NOSPLIT|NOFRAME,$0
	NO_LOCAL_POINTERS
	PUSHQ BX; PUSHQ DX; PUSHQ SI; PUSHQ DI; PUSHQ R8; PUSHQ R9; PUSHQ R10; PUSHQ R12; PUSHQ R13; PUSHQ R14; PUSHQ R15
	CALL	·tailorCall(SB)
	POPQ R15; POPQ R14; POPQ R13; POPQ R12; POPQ R10; POPQ R9; POPQ R8; POPQ DI; POPQ SI; POPQ DX; POPQ BX
	RET
