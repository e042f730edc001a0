#include "textflag.h"

// AES-256-CTR.
//
// Key stream and message lie on one grid that starts where a block starts, before the first byte when that stands inside
// one. In both functions: AX round keys, BX bytes from here to the end on the grid, DX bytes to skip on it, SI src and DI
// dst on it. A group of blocks goes through the cipher together, however few of them are needed: the first few take no
// longer than one. Then a ladder adds whole steps of the grid as far as the message goes. The part of a block at
// either end is up to part.

// A counter is two words, the low one first; the cipher wants the bytes the other way round.
DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
DATA reverse<>+16(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+24(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $32

// How far the blocks of the first pair are ahead, and those of the next one.
DATA first<>+0(SB)/8, $0
DATA first<>+8(SB)/8, $0
DATA first<>+16(SB)/8, $1
DATA first<>+24(SB)/8, $0
GLOBL first<>(SB), RODATA|NOPTR, $32
DATA two<>+0(SB)/8, $2
DATA two<>+8(SB)/8, $0
DATA two<>+16(SB)/8, $2
DATA two<>+24(SB)/8, $0
GLOBL two<>(SB), RODATA|NOPTR, $32

// From n on, the shuffle that moves a block's bytes down by n.
DATA down<>+0(SB)/8, $0x0706050403020100
DATA down<>+8(SB)/8, $0x0f0e0d0c0b0a0908
DATA down<>+16(SB)/8, $0x8080808080808080
DATA down<>+24(SB)/8, $0x8080808080808080
GLOBL down<>(SB), RODATA|NOPTR, $32

// part adds the key stream X0 to R9 bytes, 1 to 15, from R12 to R13. X0, X8 to X10, R8 to R13 are lost. From 4 bytes on
// it takes the first and the last 8, or 4, which may overlap; both are loaded before one is stored, for dst may be src.
TEXT part<>(SB), NOSPLIT, $0-0
	LEAQ   down<>(SB), R8
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
	MOVL X0, R10
	JMP  few<>(SB)

// few is part for 1 to 3 bytes and the key stream R10.
TEXT few<>(SB), NOSPLIT, $0-0
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
	MOVOU  reverse<>(SB), X14
	MOVOU  first<>+16(SB), X13
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
	LEAQ  down<>(SB), R10
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

// WIDECOUNT is COUNT for a pair.
#define WIDECOUNT(pair) \
	VPSHUFB Y14, Y15, pair;  \
	VPADDQ  Y13, Y15, Y15;   \
	VPXOR   Y12, pair, pair

// WIDE does OP with the round key at off on 4 to 8 pairs.
#define WIDE4(OP, off) \
	VBROADCASTI128 off(AX), Y8;                                  \
	OP Y8, Y0, Y0; OP Y8, Y1, Y1; OP Y8, Y2, Y2; OP Y8, Y3, Y3
#define WIDE5(OP, off) WIDE4(OP, off); OP Y8, Y4, Y4
#define WIDE6(OP, off) WIDE5(OP, off); OP Y8, Y5, Y5
#define WIDE7(OP, off) WIDE6(OP, off); OP Y8, Y6, Y6
#define WIDE8(OP, off) WIDE7(OP, off); OP Y8, Y7, Y7

// WIDEENCRYPT is ENCRYPT for pairs.
#define WIDEENCRYPT(WIDE) \
	WIDE(VAESENC, 16);  \
	WIDE(VAESENC, 32);  \
	WIDE(VAESENC, 48);  \
	WIDE(VAESENC, 64);  \
	WIDE(VAESENC, 80);  \
	WIDE(VAESENC, 96);  \
	WIDE(VAESENC, 112); \
	WIDE(VAESENC, 128); \
	WIDE(VAESENC, 144); \
	WIDE(VAESENC, 160); \
	WIDE(VAESENC, 176); \
	WIDE(VAESENC, 192); \
	WIDE(VAESENC, 208); \
	WIDE(VAESENCLAST, 224)

// WIDEADD, WIDERUNG and WIDEREST are what their namesakes are for a pair.
#define WIDEADD(off, pair) VPXOR off(SI), pair, pair; VMOVDQU pair, off(DI)
#define WIDERUNG(off, pair, rest) CMPQ BX, $(off+32); JLT rest; WIDEADD(off, pair)
#define WIDEREST(off, pair) ADDQ $off, SI; ADDQ $off, DI; SUBQ $off, BX; VMOVDQA pair, Y0; JMP tail

// widepart is part in the encoding that does not have to save the upper half of a register.
TEXT widepart<>(SB), NOSPLIT, $0-0
	LEAQ    down<>(SB), R8
	CMPQ    R9, $8
	JLT     four
	VMOVQ   (R12), X9
	VMOVQ   -8(R12)(R9*1), X10
	VPXOR   X0, X9, X9
	VPSHUFB -8(R8)(R9*1), X0, X0
	VPXOR   X0, X10, X10
	VMOVQ   X9, (R13)
	VMOVQ   X10, -8(R13)(R9*1)
	RET

four:
	CMPQ    R9, $4
	JLT     few
	VMOVD   (R12), X9
	VMOVD   -4(R12)(R9*1), X10
	VPXOR   X0, X9, X9
	VPSHUFB -4(R8)(R9*1), X0, X0
	VPXOR   X0, X10, X10
	VMOVD   X9, (R13)
	VMOVD   X10, -4(R13)(R9*1)
	RET

few:
	VMOVD X0, R10
	JMP   few<>(SB)

// func xorVAES(keys *aesni.Schedule, lo, hi uint64, skip int, dst, src *byte, n int)
//
// The grid is one of pairs. When the message starts inside a block, that is the second of the first pair, so that all
// behind it is whole pairs.
TEXT ·xorVAES(SB), NOSPLIT, $0-56
	MOVQ           keys+0(FP), AX
	MOVQ           lo+8(FP), R8
	MOVQ           skip+24(FP), DX
	MOVQ           dst+32(FP), DI
	MOVQ           src+40(FP), SI
	MOVQ           n+48(FP), BX
	TESTQ          DX, DX
	JEQ            even
	DECQ           R8
	ADDQ           $16, DX
	ADDQ           DX, BX
	SUBQ           DX, SI
	SUBQ           DX, DI

even:
	VMOVQ          R8, X15
	VMOVHPS        hi+16(FP), X15, X15
	VINSERTI128    $1, X15, Y15, Y15
	VPADDQ         first<>(SB), Y15, Y15      // the next two counters
	VMOVDQU        reverse<>(SB), Y14
	VMOVDQU        two<>(SB), Y13
	VBROADCASTI128 (AX), Y12

group:
	WIDECOUNT(Y0)
	WIDECOUNT(Y1)
	WIDECOUNT(Y2)
	WIDECOUNT(Y3)
	CMPQ BX, $128
	JLE  four
	WIDECOUNT(Y4)
	CMPQ BX, $160
	JLE  five
	WIDECOUNT(Y5)
	CMPQ BX, $192
	JLE  six
	WIDECOUNT(Y6)
	CMPQ BX, $224
	JLE  seven
	WIDECOUNT(Y7)
	WIDEENCRYPT(WIDE8)

ready:
	TESTQ DX, DX
	JNE   head
	CMPQ  BX, $256
	JLT   ladder
	WIDEADD(0, Y0)
	WIDEADD(32, Y1)
	WIDEADD(64, Y2)
	WIDEADD(96, Y3)
	WIDEADD(128, Y4)
	WIDEADD(160, Y5)
	WIDEADD(192, Y6)
	WIDEADD(224, Y7)

next:
	ADDQ $256, SI
	ADDQ $256, DI
	SUBQ $256, BX
	JNE  group
	VZEROUPPER
	RET

seven:
	WIDEENCRYPT(WIDE7)
	JMP ready

six:
	WIDEENCRYPT(WIDE6)
	JMP ready

five:
	WIDEENCRYPT(WIDE5)
	JMP ready

four:
	WIDEENCRYPT(WIDE4)
	JMP ready

	// The second block, without the DX bytes before the message.
head:
	LEAQ         (SI)(DX*1), R12
	LEAQ         (DI)(DX*1), R13
	MOVL         $32, R9
	CMPQ         BX, R9
	CMOVQLT      BX, R9
	SUBQ         DX, R9
	VEXTRACTI128 $1, Y0, X0
	LEAQ         down<>(SB), R10
	VPSHUFB      -16(R10)(DX*1), X0, X0
	CALL         widepart<>(SB)
	XORL         DX, DX
	CMPQ         BX, $32
	JLE          done
	JMP          behind

ladder:
	WIDERUNG(0, Y0, tail)
behind:
	WIDERUNG(32, Y1, rest1)
	WIDERUNG(64, Y2, rest2)
	WIDERUNG(96, Y3, rest3)
	WIDERUNG(128, Y4, rest4)
	WIDERUNG(160, Y5, rest5)
	WIDERUNG(192, Y6, rest6)
	WIDERUNG(224, Y7, rest7)
	JMP next

rest1:
	WIDEREST(32, Y1)
rest2:
	WIDEREST(64, Y2)
rest3:
	WIDEREST(96, Y3)
rest4:
	WIDEREST(128, Y4)
rest5:
	WIDEREST(160, Y5)
rest6:
	WIDEREST(192, Y6)
rest7:
	WIDEREST(224, Y7)

	// The last BX bytes, fewer than 32, with the pair Y0.
tail:
	CMPQ         BX, $16
	JLT          last
	VPXOR        (SI), X0, X8
	VMOVDQU      X8, (DI)
	VEXTRACTI128 $1, Y0, X0
	ADDQ         $16, SI
	ADDQ         $16, DI
	SUBQ         $16, BX

last:
	TESTQ   BX, BX
	JEQ     done
	MOVQ    BX, R9
	MOVQ    SI, R12
	MOVQ    DI, R13
	CALL    widepart<>(SB)

done:
	VZEROUPPER
	RET
