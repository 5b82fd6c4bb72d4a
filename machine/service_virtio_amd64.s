//go:build tailoros && tailorvirtio

#include "go_asm.h"
#include "textflag.h"

// Ring 0's services: see abi.ServiceVector.

#define SERVICE	BYTE $0xcd; BYTE $const_tailorServiceVector	// INT

// func tailorService(number, a, b, c uintptr) (r, count uintptr)
TEXT ·tailorService(SB),NOSPLIT,$0-48
	MOVQ	number+0(FP), AX
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	SERVICE
	MOVQ	AX, r+32(FP)
	MOVQ	DX, count+40(FP)
	RET

// tailorSetFS sets the thread pointer to SI.
TEXT tailorSetFS(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SI, DI
	MOVL	$const_tailorServiceFS, AX
	SERVICE
	RET

// func tailorFloatInit()
// What firmware has left of the floating-point units: ring 0 leaves it to us,
// because a KVM that emulates ring 0 does not know the instruction.
TEXT ·tailorFloatInit(SB),NOSPLIT,$8-0
	MOVL	$0x1f80, 0(SP)
	LDMXCSR	0(SP)
	RET

// func tailorTSC() uint64
TEXT ·tailorTSC(SB),NOSPLIT,$0-8
	LFENCE
	RDTSC
	SHLQ	$32, DX
	ORQ	DX, AX
	MOVQ	AX, ret+0(FP)
	RET

// func tailor_in8(port uintptr) uint8
TEXT ·tailor_in8(SB),NOSPLIT,$0-9
	MOVQ	port+0(FP), DX
	INB
	MOVB	AX, ret+8(FP)
	RET

// func tailor_in32(port uintptr) uint32
TEXT ·tailor_in32(SB),NOSPLIT,$0-12
	MOVQ	port+0(FP), DX
	INL
	MOVL	AX, ret+8(FP)
	RET

// func tailor_out8(port uintptr, v uint8)
TEXT ·tailor_out8(SB),NOSPLIT,$0-9
	MOVQ	port+0(FP), DX
	MOVB	v+8(FP), AX
	OUTB
	RET

// func tailor_out16(port uintptr, v uint16)
TEXT ·tailor_out16(SB),NOSPLIT,$0-10
	MOVQ	port+0(FP), DX
	MOVW	v+8(FP), AX
	OUTW
	RET

// func tailor_out32(port uintptr, v uint32)
TEXT ·tailor_out32(SB),NOSPLIT,$0-12
	MOVQ	port+0(FP), DX
	MOVL	v+8(FP), AX
	OUTL
	RET

// Device registers: exactly one access of the width in the name.

// func tailor_load8(addr uintptr) uint8
TEXT ·tailor_load8(SB),NOSPLIT,$0-9
	MOVQ	addr+0(FP), CX
	MOVB	(CX), AX
	MOVB	AX, ret+8(FP)
	RET

// func tailor_load16(addr uintptr) uint16
TEXT ·tailor_load16(SB),NOSPLIT,$0-10
	MOVQ	addr+0(FP), CX
	MOVW	(CX), AX
	MOVW	AX, ret+8(FP)
	RET

// func tailor_load32(addr uintptr) uint32
TEXT ·tailor_load32(SB),NOSPLIT,$0-12
	MOVQ	addr+0(FP), CX
	MOVL	(CX), AX
	MOVL	AX, ret+8(FP)
	RET

// func tailor_store8(addr uintptr, v uint8)
TEXT ·tailor_store8(SB),NOSPLIT,$0-9
	MOVQ	addr+0(FP), CX
	MOVB	v+8(FP), AX
	MOVB	AX, (CX)
	RET

// func tailor_store16(addr uintptr, v uint16)
TEXT ·tailor_store16(SB),NOSPLIT,$0-10
	MOVQ	addr+0(FP), CX
	MOVW	v+8(FP), AX
	MOVW	AX, (CX)
	RET

// func tailor_store32(addr uintptr, v uint32)
TEXT ·tailor_store32(SB),NOSPLIT,$0-12
	MOVQ	addr+0(FP), CX
	MOVL	v+8(FP), AX
	MOVL	AX, (CX)
	RET

// tailorInterruptSignal returns what an interrupt is, from the frame at SI: the
// signal in DI, 0 for none, si_code in AX and the argument in CX. It keeps R13.
TEXT tailorInterruptSignal(SB),NOSPLIT,$48-0
	MOVQ	R13, 40(SP)
	MOVQ	0(SI), DI
	MOVQ	DI, 0(SP)
	CALL	·tailorInterruptIs(SB)
	MOVQ	8(SP), DI
	MOVQ	16(SP), AX
	MOVQ	24(SP), CX
	MOVQ	40(SP), R13
	RET

// tailorResume continues with the registers of Control.Interrupt.
TEXT tailorResume(SB),NOSPLIT|NOFRAME,$0
	MOVL	$const_tailorServiceResume, AX
	SERVICE
	INT	$3				// never reached
