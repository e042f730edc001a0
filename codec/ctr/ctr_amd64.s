#include "textflag.h"

// AES-256-CTR.
//
// Key stream and message lie on one grid that starts where a block starts, before the first byte when that stands inside
// one. In both functions: AX round keys, BX bytes from here to the end on the grid, DX bytes to skip on it, SI src and DI
// dst on it. A group of blocks goes through the cipher together, however few of them are needed: the first few take no
// longer than one. Then a ladder adds whole steps of the grid as far as the message goes. The part of a block at
// either end is up to part.

// A counter is two words, the low one first; the cipher wants the bytes the other way round.
DATA ·reverse+0(SB)/8, $0x08090a0b0c0d0e0f
DATA ·reverse+8(SB)/8, $0x0001020304050607
DATA ·reverse+16(SB)/8, $0x08090a0b0c0d0e0f
DATA ·reverse+24(SB)/8, $0x0001020304050607
GLOBL ·reverse(SB), RODATA|NOPTR, $32

// From n on, the shuffle that moves a block's bytes down by n.
DATA ·down+0(SB)/8, $0x0706050403020100
DATA ·down+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA ·down+16(SB)/8, $0x8080808080808080
DATA ·down+24(SB)/8, $0x8080808080808080
GLOBL ·down(SB), RODATA|NOPTR, $32

// part adds the key stream X0 to R9 bytes, 1 to 15, from R12 to R13. X0, X8 to X10, R8 to R13 are lost. From 4 bytes on
// it takes the first and the last 8, or 4, which may overlap; both are loaded before one is stored, for dst may be src.
TEXT part<>(SB), NOSPLIT, $0-0
	LEAQ   ·down(SB), R8
	CMPQ   R9, $8
	JLT    four
	MOVQ   (R12), X9
	MOVQ   -8(R12)(R9*1), X10
	PXOR   X0, X9
	MOVOU  -8(R8)(R9*1), X8
	PSHUFB X8, X0
	PXOR   X0, X10
	MOVQ   X9, (R13)
	MOVQ   X10, -8(R13)(R9*1)
	RET

four:
	CMPQ   R9, $4
	JLT    few
	MOVL   (R12), X9
	MOVL   -4(R12)(R9*1), X10
	PXOR   X0, X9
	MOVOU  -4(R8)(R9*1), X8
	PSHUFB X8, X0
	PXOR   X0, X10
	MOVL   X9, (R13)
	MOVL   X10, -4(R13)(R9*1)
	RET

few:
	MOVL    X0, R10

next:
	MOVBLZX (R12), R8
	XORL    R10, R8
	MOVB    R8, (R13)
	SHRL    $8, R10
	INCQ    R12
	INCQ    R13
	DECQ    R9
	JNE     next
	RET

// COUNT puts the next counter behind the first round key.
#define COUNT(block) \
	MOVO   X15, block;  \
	PSHUFB X14, block;  \
	PADDQ  X13, X15;    \
	PXOR   X12, block

// KEYED does OP with the round key at off on 4 or 8 blocks.
#define KEYED4(OP, off) MOVOU off(AX), X8; OP X8, X0; OP X8, X1; OP X8, X2; OP X8, X3
#define KEYED8(OP, off) KEYED4(OP, off); OP X8, X4; OP X8, X5; OP X8, X6; OP X8, X7

// ENCRYPT sends the blocks of the KEYED macro through the rounds behind the first key.
#define ENCRYPT(KEYED) \
	KEYED(AESENC, 16);  \
	KEYED(AESENC, 32);  \
	KEYED(AESENC, 48);  \
	KEYED(AESENC, 64);  \
	KEYED(AESENC, 80);  \
	KEYED(AESENC, 96);  \
	KEYED(AESENC, 112); \
	KEYED(AESENC, 128); \
	KEYED(AESENC, 144); \
	KEYED(AESENC, 160); \
	KEYED(AESENC, 176); \
	KEYED(AESENC, 192); \
	KEYED(AESENC, 208); \
	KEYED(AESENCLAST, 224)

// ADD adds the block to the 16 bytes at off.
#define ADD(off, block) MOVOU off(SI), X8; PXOR X8, block; MOVOU block, off(DI)

// RUNG is ADD, if the message goes so far.
#define RUNG(off, block, rest) CMPQ BX, $(off+16); JLT rest; ADD(off, block)

// REST moves the rung at off, which the message does not fill, to where tail wants it.
#define REST(off, block) ADDQ $off, SI; ADDQ $off, DI; SUBQ $off, BX; MOVO block, X0; JMP tail

// func xorNI(keys *aesni.Schedule, lo, hi uint64, skip int, dst, src *byte, n int)
TEXT ·xorNI(SB), NOSPLIT, $0-56
	MOVQ   keys+0(FP), AX
	MOVQ   lo+8(FP), X15
	MOVQ   hi+16(FP), X0
	MOVQ   skip+24(FP), DX
	MOVQ   dst+32(FP), DI
	MOVQ   src+40(FP), SI
	MOVQ   n+48(FP), BX
	PUNPCKLQDQ X0, X15      // the next counter
	MOVOU  ·reverse(SB), X14
	MOVL   $1, CX
	MOVQ   CX, X13
	MOVOU  (AX), X12
	ADDQ   DX, BX
	SUBQ   DX, SI
	SUBQ   DX, DI

group:
	COUNT(X0)
	COUNT(X1)
	COUNT(X2)
	COUNT(X3)
	CMPQ  BX, $64
	JLE   narrow
	COUNT(X4)
	COUNT(X5)
	COUNT(X6)
	COUNT(X7)
	ENCRYPT(KEYED8)

ready:
	TESTQ DX, DX
	JNE   head
	CMPQ  BX, $128
	JLT   ladder
	ADD(0, X0)
	ADD(16, X1)
	ADD(32, X2)
	ADD(48, X3)
	ADD(64, X4)
	ADD(80, X5)
	ADD(96, X6)
	ADD(112, X7)

next:
	ADDQ  $128, SI
	ADDQ  $128, DI
	SUBQ  $128, BX
	JNE   group
	RET

narrow:
	ENCRYPT(KEYED4)
	JMP   ready

	// The first block, without the DX bytes before the message.
head:
	LEAQ  (SI)(DX*1), R12
	LEAQ  (DI)(DX*1), R13
	MOVL  $16, R9
	CMPQ  BX, R9
	CMOVQLT BX, R9
	SUBQ  DX, R9
	LEAQ  ·down(SB), R10
	MOVOU (R10)(DX*1), X8
	PSHUFB X8, X0
	CALL  part<>(SB)
	XORL  DX, DX
	CMPQ  BX, $16
	JLE   done
	JMP   behind

ladder:
	RUNG(0, X0, tail)
behind:
	RUNG(16, X1, rest1)
	RUNG(32, X2, rest2)
	RUNG(48, X3, rest3)
	RUNG(64, X4, rest4)
	RUNG(80, X5, rest5)
	RUNG(96, X6, rest6)
	RUNG(112, X7, rest7)
	JMP   next

rest1:
	REST(16, X1)
rest2:
	REST(32, X2)
rest3:
	REST(48, X3)
rest4:
	REST(64, X4)
rest5:
	REST(80, X5)
rest6:
	REST(96, X6)
rest7:
	REST(112, X7)

	// The last BX bytes, fewer than 16, with the block X0.
tail:
	TESTQ BX, BX
	JEQ   done
	MOVQ  BX, R9
	MOVQ  SI, R12
	MOVQ  DI, R13
	CALL  part<>(SB)

done:
	RET
