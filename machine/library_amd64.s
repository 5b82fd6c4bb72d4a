//go:build tailoros

#include "textflag.h"

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
