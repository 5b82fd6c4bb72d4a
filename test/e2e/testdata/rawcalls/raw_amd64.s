#include "textflag.h"

// func raw(num uintptr, path *byte) int64
TEXT ·raw(SB),NOSPLIT,$0-24
	MOVQ	num+0(FP), AX
	MOVQ	$-100, DI
	MOVQ	path+8(FP), SI
	XORL	DX, DX
	XORL	R10, R10
	XORL	R8, R8
	XORL	R9, R9
	MOVQ	$1234, R12
	SYSCALL
	CMPQ	R12, $1234
	JEQ	kept
	MOVQ	$-9999, AX
kept:
	MOVQ	AX, ret+16(FP)
	RET
