#include "textflag.h"

// FIRST adds the block at p and the first of the keys to the block before.
#define FIRST(p, keys, block, t1, t2) \
	MOVOU (p), t1;    \
	MOVOU (keys), t2; \
	PXOR  t2, t1;     \
	PXOR  t1, block

// ROUND does OP with each lane's round key at off.
#define ROUND(OP, off) \
	MOVOU off(R8), X4;  \
	MOVOU off(R9), X5;  \
	MOVOU off(R10), X6; \
	MOVOU off(R11), X7; \
	OP    X4, X0;       \
	OP    X5, X1;       \
	OP    X6, X2;       \
	OP    X7, X3

// func encryptLanes(lanes *[width]lane, blocks int)
//
// A lane is three pointers: keys, iv, p. All loads of a step stand before its stores, so that lanes may be the same.
TEXT ·encryptLanes(SB), NOSPLIT, $0-16
	MOVQ  lanes+0(FP), AX
	MOVQ  blocks+8(FP), CX
	MOVQ  0(AX), R8
	MOVQ  24(AX), R9
	MOVQ  48(AX), R10
	MOVQ  72(AX), R11
	MOVQ  8(AX), BX
	MOVOU (BX), X0
	MOVQ  32(AX), BX
	MOVOU (BX), X1
	MOVQ  56(AX), BX
	MOVOU (BX), X2
	MOVQ  80(AX), BX
	MOVOU (BX), X3
	MOVQ  16(AX), SI
	MOVQ  40(AX), DI
	MOVQ  64(AX), R12
	MOVQ  88(AX), R13

next:
	FIRST(SI, R8, X0, X4, X5)
	FIRST(DI, R9, X1, X6, X7)
	FIRST(R12, R10, X2, X8, X9)
	FIRST(R13, R11, X3, X10, X11)
	ROUND(AESENC, 16)
	ROUND(AESENC, 32)
	ROUND(AESENC, 48)
	ROUND(AESENC, 64)
	ROUND(AESENC, 80)
	ROUND(AESENC, 96)
	ROUND(AESENC, 112)
	ROUND(AESENC, 128)
	ROUND(AESENC, 144)
	ROUND(AESENC, 160)
	ROUND(AESENC, 176)
	ROUND(AESENC, 192)
	ROUND(AESENC, 208)
	ROUND(AESENCLAST, 224)
	MOVOU X0, (SI)
	MOVOU X1, (DI)
	MOVOU X2, (R12)
	MOVOU X3, (R13)
	ADDQ  $16, SI
	ADDQ  $16, DI
	ADDQ  $16, R12
	ADDQ  $16, R13
	SUBQ  $1, CX
	JNE   next
	MOVQ  8(AX), BX
	MOVOU X0, (BX)
	MOVQ  32(AX), BX
	MOVOU X1, (BX)
	MOVQ  56(AX), BX
	MOVOU X2, (BX)
	MOVQ  80(AX), BX
	MOVOU X3, (BX)
	RET
