//go:build tailoros && !tailorvirtio

#include "go_asm.h"
#include "textflag.h"

// tailorSetFS sets the thread pointer to SI.
TEXT tailorSetFS(SB),NOSPLIT|NOFRAME,$0
	WRFSBASEQ SI
	RET

// tailorInterruptSignal returns what an interrupt is, from the frame at SI: the
// signal in DI, si_code in AX and the argument in CX. It keeps R13.
TEXT tailorInterruptSignal(SB),NOSPLIT|NOFRAME,$0
	MOVQ	0(SI), DI
	MOVQ	8(SI), AX
	MOVQ	16(SI), CX
	RET

// tailorResume continues with the registers of Control.Interrupt.
TEXT tailorResume(SB),NOSPLIT|NOFRAME,$0
	MOVL	$(const_tailorDoorbellAddr+const_tailorBellResume), CX
	MOVQ	AX, (CX)
	INT	$3				// never reached
