//go:build tailoros && !tailorvirtio

#include "go_asm.h"
#include "textflag.h"

// func tailorBell(register, value uintptr)
TEXT ·tailorBell(SB),NOSPLIT,$0-16
	MOVQ	register+0(FP), CX
	MOVQ	value+8(FP), AX
	MOVQ	AX, const_tailorDoorbellAddr(CX)
	RET

// tailorSetFS sets the thread pointer to SI.
TEXT tailorSetFS(SB),NOSPLIT|NOFRAME,$0
	WRFSBASEQ SI
	RET
