//go:build tailoros

#include "go_asm.h"
#include "textflag.h"

// Interrupts as signals. The starter stops the running guest, saves its
// registers in abi.Control.Interrupt and lets it continue at tailorInterrupt,
// with the stack pointer at TrapStack. That can be between any two instructions,
// so all that the handler may change is restored: the vector registers here, the
// others by the starter, which needs no stack for it.

TEXT ·tailorInterrupt(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	// 1. siginfo, ucontext and the vector registers, on the signal stack.
	SUBQ	$(const_tailorXSaveOffset+const_tailorXSaveSize), SP
	ANDQ	$~63, SP
	LEAQ	const_tailorSiginfoSize(SP), R13	// ucontext
	MOVQ	SP, DI
	MOVQ	$((const_tailorXSaveOffset+512+64)/8), CX	// up to XSAVE's header
	XORL	AX, AX
	REP; STOSQ
	CMPB	internal∕cpu·X86+const_tailorHasOSXSAVE(SB), $0
	JEQ	legacy
	MOVL	$const_tailorXSaveMask, AX
	XORL	DX, DX
	XSAVE64	const_tailorXSaveOffset(SP)
	JMP	saved
legacy:
	FXSAVE64	const_tailorXSaveOffset(SP)
saved:
	MOVQ	$(const_tailorControlAddr+const_tailorControlInterrupt), SI
	LEAQ	const_tailorUcontextRegs(R13), DI
	MOVQ	$18, CX
	REP; MOVSQ
	// 2. SI is at RFlags' successor, Vector.
	CALL	tailorInterruptSignal(SB)
	TESTL	DI, DI
	JEQ	handled
	MOVL	DI, 0(SP)			// si_signo
	MOVL	AX, 8(SP)			// si_code
	MOVQ	CX, 16(SP)			// si_addr
	MOVQ	SP, SI
	MOVQ	R13, DX
	CALL	runtime·sigtramp(SB)
handled:
	// 3. Back, where the handler says.
	CMPB	internal∕cpu·X86+const_tailorHasOSXSAVE(SB), $0
	JEQ	legacyBack
	MOVL	$const_tailorXSaveMask, AX
	XORL	DX, DX
	XRSTOR64	const_tailorXSaveOffset(SP)
	JMP	restored
legacyBack:
	FXRSTOR64	const_tailorXSaveOffset(SP)
restored:
	LEAQ	const_tailorUcontextRegs(R13), SI
	MOVQ	$(const_tailorControlAddr+const_tailorControlInterrupt), DI
	MOVQ	$18, CX
	REP; MOVSQ
	JMP	tailorResume(SB)
