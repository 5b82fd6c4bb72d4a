#include "textflag.h"

// func hasAES() bool
TEXT ·hasAES(SB), NOSPLIT, $0-1
	MOVL $1, AX
	XORL CX, CX
	CPUID
	SHRL $25, CX // AESNI: bit 25 of ECX of leaf 1
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL w+0(FP), X0
	PSHUFD $0, X0, X0
	AESKEYGENASSIST $0, X0, X1
	MOVL X1, ret+8(FP)
	RET

// func inverseMix(key *[16]byte)
TEXT ·inverseMix(SB), NOSPLIT, $0-8
	MOVQ key+0(FP), AX
	MOVOU (AX), X0
	AESIMC X0, X0
	MOVOU X0, (AX)
	RET

// What the two functions below have in common: eight blocks are in X0 to X7.
// AX is the first round key, BX the number of rounds, DI dst, SI src, DX the
// tweaks, CX the number of blocks; R8 and R9 walk along the round keys.

#define LOAD(i, X) \
	MOVOU (16*i)(SI), X  \
	MOVOU (16*i)(DX), X8 \
	PXOR  X8, X          \
	PXOR  X9, X

#define STORE(i, X) \
	MOVOU (16*i)(DX), X8 \
	PXOR  X8, X          \
	MOVOU X, (16*i)(DI)

#define ALL(OP, K) \
	OP K, X0 \
	OP K, X1 \
	OP K, X2 \
	OP K, X3 \
	OP K, X4 \
	OP K, X5 \
	OP K, X6 \
	OP K, X7

#define XTS(ROUND, LAST) \
eight:                     \
	MOVOU (AX), X9         \
	LOAD(0, X0)            \
	LOAD(1, X1)            \
	LOAD(2, X2)            \
	LOAD(3, X3)            \
	LOAD(4, X4)            \
	LOAD(5, X5)            \
	LOAD(6, X6)            \
	LOAD(7, X7)            \
	LEAQ  16(AX), R8       \
	LEAQ  -1(BX), R9       \
round:                     \
	MOVOU (R8), X9         \
	ALL(ROUND, X9)         \
	ADDQ  $16, R8          \
	DECQ  R9               \
	JNZ   round            \
	MOVOU (R8), X9         \
	ALL(LAST, X9)          \
	STORE(0, X0)           \
	STORE(1, X1)           \
	STORE(2, X2)           \
	STORE(3, X3)           \
	STORE(4, X4)           \
	STORE(5, X5)           \
	STORE(6, X6)           \
	STORE(7, X7)           \
	ADDQ  $128, DI         \
	ADDQ  $128, SI         \
	ADDQ  $128, DX         \
	SUBQ  $8, CX           \
	JNZ   eight            \
	RET

// func encryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)
TEXT ·encryptBlocks(SB), NOSPLIT, $0-48
	MOVQ keys+0(FP), AX
	MOVQ rounds+8(FP), BX
	MOVQ dst+16(FP), DI
	MOVQ src+24(FP), SI
	MOVQ tweaks+32(FP), DX
	MOVQ blocks+40(FP), CX
	XTS(AESENC, AESENCLAST)

// func decryptBlocks(keys *byte, rounds int, dst, src, tweaks *byte, blocks int)
TEXT ·decryptBlocks(SB), NOSPLIT, $0-48
	MOVQ keys+0(FP), AX
	MOVQ rounds+8(FP), BX
	MOVQ dst+16(FP), DI
	MOVQ src+24(FP), SI
	MOVQ tweaks+32(FP), DX
	MOVQ blocks+40(FP), CX
	XTS(AESDEC, AESDECLAST)
