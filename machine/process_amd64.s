//go:build tailoros && !tailorvirtio

#include "go_asm.h"
#include "textflag.h"

// A guest that is a Linux process. These are all the SYSCALL instructions of
// Tailor's own.

#define SYS_write 1
#define SYS_setitimer 38
#define SYS_futex 202
#define SYS_exit_group 231

// func tailorBell(register, value uintptr)
TEXT ·tailorBell(SB),NOSPLIT,$0-16
	MOVQ	register+0(FP), CX
	MOVQ	value+8(FP), AX
	LEAQ	·tailorRung(SB), DX
	INCQ	(DX)(CX*1)
	MOVL	$const_tailorBootFlags, DX
	TESTB	$const_tailorBootProcess, (DX)
	JNE	process
	MOVQ	AX, const_tailorDoorbellAddr(CX)
	RET

process:
	MOVL	$const_tailorProcess, R11
	CMPL	CX, $const_tailorBellNotify
	JEQ	notify
	CMPL	CX, $const_tailorBellIdle
	JEQ	idle
	CMPL	CX, $const_tailorBellProfile
	JEQ	profile
	MOVQ	AX, DI				// BellExit
	MOVL	$SYS_exit_group, AX
	SYSCALL
	INT	$3				// never reached
profile:
	MOVL	$2, DI				// ITIMER_PROF
	LEAQ	const_tailorProcessTimer(R11), SI
	XORL	DX, DX
	MOVL	$SYS_setitimer, AX
	SYSCALL
	RET
notify:
	XORL	BX, BX
	BTSQ	AX, BX
	MOVQ	BX, AX
	XORL	BX, BX				// and that is all
	JMP	tell

idle:
	// For how long, as a timespec; for ever is 34,000 years.
	MOVQ	$(1<<40), SI
	XORL	DX, DX
	MOVQ	AX, R10
	INCQ	AX
	JEQ	told
	MOVL	$1, DI
	CALL	·tailorNano(SB)
	IMULQ	$1000000000, AX
	ADDQ	DX, AX
	XORL	DX, DX
	SUBQ	AX, R10
	CMOVQLT	DX, R10				// a deadline that has passed still rings
	MOVQ	R10, AX
	MOVL	$1000000000, CX
	DIVQ	CX
	MOVQ	AX, SI
told:
	MOVQ	SI, const_tailorProcessTime(R11)
	MOVQ	DX, (const_tailorProcessTime+8)(R11)
	// What was left for when the guest goes idle, and what the monitor waits for.
	MOVQ	·tailorBells(SB), AX
	MOVL	const_tailorProcessIdle(R11), CX
	ORQ	AX, CX
	JEQ	park
	BTSQ	$63, AX				// BellBitIdle
	MOVL	$1, BX				// and then to sleep
tell:
	// Set the bits in AX for the monitor, and wake it if it sleeps.
	LOCK
	ORQ	AX, const_tailorProcessBells(R11)
	MOVL	$const_tailorParkToken, AX
	XCHGL	AX, const_tailorProcessListen(R11)
	CMPL	AX, $const_tailorParkAsleep
	JNE	listens
	MOVL	$const_tailorProcessBell, DI
	MOVL	$const_tailorBellCount, SI
	MOVL	$8, DX
	MOVL	$SYS_write, AX
	SYSCALL
	MOVL	$const_tailorProcess, R11
listens:
	TESTL	BX, BX
	JEQ	done
park:
	XORL	AX, AX				// ParkAwake
	MOVL	$const_tailorParkAsleep, DX
	LOCK
	CMPXCHGL	DX, const_tailorProcessPark(R11)
	JNE	awake
	LEAQ	const_tailorProcessPark(R11), DI
	XORL	SI, SI				// FUTEX_WAIT
	LEAQ	const_tailorProcessTime(R11), R10
	XORL	R8, R8
	XORL	R9, R9
	MOVL	$SYS_futex, AX
	SYSCALL
	MOVL	$const_tailorProcess, R11
awake:
	XORL	AX, AX
	XCHGL	AX, const_tailorProcessPark(R11)
done:
	RET

// tailorSignal is the handler of all signals: number in DI, *siginfo in SI,
// *ucontext in DX, on the signal stack. It returns to the starter's rt_sigreturn.
TEXT ·tailorSignal(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	CLD
	CMPL	DI, $31				// SIGSYS
	JEQ	instruction
	CMPL	DI, $27				// SIGPROF
	JEQ	profile
	MOVL	$(1<<3 | 1<<23), AX		// SIGQUIT, SIGURG
	BTL	DI, AX
	JCS	interrupt
	JMP	runtime·sigtramp(SB)

profile:
	// Of its own timer. A sample of what runs on a stack that the handler would use
	// is left out.
	MOVQ	(const_tailorUcontextRegs+15*8)(DX), CX	// RSP
	MOVQ	$const_tailorControlAddr, R9
	CMPQ	CX, const_tailorControlMaskedLow(R9)
	JCS	sample
	CMPQ	CX, const_tailorControlMaskedHigh(R9)
	JCS	wait
sample:
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
