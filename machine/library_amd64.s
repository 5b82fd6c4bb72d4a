//go:build tailoros

#include "textflag.h"

// func tailorCPUID(eax, ecx uint32) (a, b, c, d uint32)
TEXT ·tailorCPUID(SB),NOSPLIT,$0-24
	MOVL	eax+0(FP), AX
	MOVL	ecx+4(FP), CX
	CPUID
	MOVL	AX, a+8(FP)
	MOVL	BX, b+12(FP)
	MOVL	CX, c+16(FP)
	MOVL	DX, d+20(FP)
	RET

// func tailorRDSEED() (uint64, bool)
TEXT ·tailorRDSEED(SB),NOSPLIT,$0-9
	RDSEEDQ	AX
	MOVQ	AX, ret+0(FP)
	SETCS	ret1+8(FP)
	RET

// func tailorRDRAND() (uint64, bool)
TEXT ·tailorRDRAND(SB),NOSPLIT,$0-9
	RDRANDQ	AX
	MOVQ	AX, ret+0(FP)
	SETCS	ret1+8(FP)
	RET
