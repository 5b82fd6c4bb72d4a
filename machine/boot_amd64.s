//go:build tailoros

#include "go_asm.h"
#include "go_tls.h"
#include "funcdata.h"
#include "textflag.h"

// The starter enters here in ring 3 with the stack that Linux gives a new
// program: argc at 0(SP), then argv, envp and the auxiliary vector.
TEXT _rt0_amd64_linux(SB),NOSPLIT|NOFRAME,$0
	LEAQ	·tailorClock(SB), AX
	MOVQ	AX, ·vdsoClockgettimeSym(SB)
	JMP	_rt0_amd64(SB)

TEXT _rt0_amd64_linux_lib(SB),NOSPLIT|NOFRAME,$0
	UNDEF

#define SYS_arch_prctl 158

// tailorCall is what a SYSCALL instruction became: number in AX, arguments in
// DI, SI, DX, R10, R8, R9, result in AX. Beyond AX, CX and R11, which the
// instruction changes too, only R12 is relied on by a caller (rawVforkSyscall).
// The thread pointer is set here, because Go code needs it to run. The calls
// of Go code are indirect because the linker adds up the stack of direct ones.
//
// The frame is one that the runtime can walk, because the library OS grows the
// stack: it is tailorOnKernelStack that changes SP.
TEXT ·tailorCall(SB),NOSPLIT,$80-0
	NO_LOCAL_POINTERS
	CMPQ	AX, $SYS_arch_prctl
	JEQ	setfs
	MOVQ	R12, 72(SP)
	MOVQ	AX, 0(SP)	// for tailorLibrary
	MOVQ	DI, 8(SP)
	MOVQ	SI, 16(SP)
	MOVQ	DX, 24(SP)
	MOVQ	R10, 32(SP)
	MOVQ	R8, 40(SP)
	MOVQ	R9, 48(SP)
	CALL	tailorOnKernelStack<>(SB)
	TESTB	R11, R11
	JEQ	library
	MOVQ	72(SP), R12
	RET
library:
	// Not one of the runtime's: the same arguments, on the caller's stack.
	LEAQ	·tailorLibrary(SB), AX
	CALL	AX
	MOVQ	56(SP), AX
	MOVQ	72(SP), R12
	RET
setfs:
	CALL	tailorSetFS(SB)
	XORL	AX, AX
	RET

// tailorOnKernelStack calls tailorKernel with the registers of tailorCall, and
// returns its result in AX and whether there is one in R11; it clobbers R12.
TEXT tailorOnKernelStack<>(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, R12
	LEAQ	·tailorKernelStack+(4096-88)(SB), R11
	MOVQ	R11, SP
	MOVQ	R12, 80(SP)
	MOVQ	AX, 0(SP)
	MOVQ	DI, 8(SP)
	MOVQ	SI, 16(SP)
	MOVQ	DX, 24(SP)
	MOVQ	R10, 32(SP)
	MOVQ	R8, 40(SP)
	MOVQ	R9, 48(SP)
	LEAQ	·tailorKernel(SB), AX
	CALL	AX
	MOVQ	56(SP), AX
	MOVBLZX	64(SP), R11
	MOVQ	80(SP), SP
	RET

// tailorNano leaves the time of the clock whose Linux number is in DI in AX
// (seconds) and DX (nanoseconds); it clobbers CX, R8 and R9. abi.Clock says how
// time is computed.
TEXT ·tailorNano(SB),NOSPLIT|NOFRAME,$0
	MOVQ	$const_tailorClockAddr, R9
retry:
	MOVL	const_tailorClockSeq(R9), R8
	TESTL	$1, R8
	JNZ	pause
	LFENCE
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	XORL	CX, CX
	SUBQ	const_tailorClockTSCBase(R9), AX
	CMOVQCS	CX, AX			// never before the last update
	MULQ	const_tailorClockMult(R9)
	SHRQ	$32, AX
	SHLQ	$32, DX
	ORQ	DX, AX
	ADDQ	const_tailorClockMonoBase(R9), AX
	TESTL	DI, DI			// CLOCK_REALTIME
	JNZ	check
	ADDQ	const_tailorClockWallOffset(R9), AX
check:
	CMPL	R8, const_tailorClockSeq(R9)
	JNE	retry
	XORL	DX, DX
	MOVQ	$1000000000, CX
	DIVQ	CX
	RET
pause:
	PAUSE
	JMP	retry

// tailorClock has the vDSO's (C) calling convention: clock in DI, *timespec in
// SI, result in AX.
TEXT ·tailorClock(SB),NOSPLIT|NOFRAME,$0
	CALL	·tailorNano(SB)
	MOVQ	AX, 0(SI)
	MOVQ	DX, 8(SI)
	XORL	AX, AX
	RET

// func tailorMono() int64
TEXT ·tailorMono(SB),NOSPLIT,$0-8
	MOVL	$1, DI
	CALL	·tailorNano(SB)
	IMULQ	$1000000000, AX
	ADDQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func tailorWall() (sec, nsec int64)
TEXT ·tailorWall(SB),NOSPLIT,$0-16
	XORL	DI, DI
	CALL	·tailorNano(SB)
	MOVQ	AX, sec+0(FP)
	MOVQ	DX, nsec+8(FP)
	RET
