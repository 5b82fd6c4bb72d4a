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

// func tailorRandomWord(seed bool) (uint64, bool)
TEXT ·tailorRandomWord(SB),NOSPLIT,$0-17
	CMPB	seed+0(FP), $0
	JEQ	rdrand
	RDSEEDQ	AX
	JMP	done
rdrand:
	RDRANDQ	AX
done:
	SETCS	ret1+16(FP)
	MOVQ	AX, ret+8(FP)
	RET
